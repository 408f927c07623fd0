"""Catalogues as regions, for DS9 and CASA."""

import astropy.units as u
from astropy.coordinates import SkyCoord
from radio_beam import Beam
from regions import EllipseSkyRegion, RegionMeta, Regions, RegionVisual

__all__ = ["catalog_to_regions", "ds9_text", "reliability_color"]


def reliability_color(reliability):
    """Colour of a source by its reliability.

    Parameters
    ----------
    reliability : float

    Returns
    -------
    str
        Green from a reliability of 0.9, yellow from 0.7, else red.
    """
    return "green" if reliability >= 0.9 else "yellow" if reliability >= 0.7 else "red"


def catalog_to_regions(catalog, beam, frame):
    """Ellipses as the sources look in the restored image, named, by their channel as well, and coloured by reliability.

    Parameters
    ----------
    catalog : `~astropy.table.QTable`
    beam : `~radio_beam.Beam` or list of these
        Restoring beam, with which the sources are convolved; one for each where
        its position angle varies, see `~astro_ddpm_imager.sources.catalog.restoring_beams`.
    frame : str
        Frame of ``ra`` and ``dec``, for instance ``"icrs"``.

    Returns
    -------
    `~regions.Regions`
    """
    regions = []
    beams = [beam] * len(catalog) if isinstance(beam, Beam) else beam
    for row, beam_here in zip(catalog, beams, strict=True):
        color = reliability_color(row["reliability"])
        shape = Beam(row["major"], row["minor"], row["pa"]).convolve(beam_here)
        name = f"{row['source_id']} ({row['reliability']:.2f})"
        if "channel" in catalog.colnames:
            name += f" channel {row['channel']}"
        regions.append(
            EllipseSkyRegion(
                SkyCoord(row["ra"], row["dec"], frame=frame),
                # `width` lies along the longitude axis and the angle runs from there.
                width=shape.major.to(u.arcsec),
                height=shape.minor.to(u.arcsec),
                angle=shape.pa.to(u.deg) + 90 * u.deg,
                meta=RegionMeta({"text": name, "label": name}),  # DS9's and CASA's word for it
                visual=RegionVisual({"color": color, "default_style": "ds9"}),
            )
        )
    return Regions(regions)


def ds9_text(regions):
    """Serialize regions for DS9, each line with its own name and colour.

    The regions package moves what all regions share, with a single source
    everything, to a ``global`` line, where DS9 does not look for names,
    and their order there varies from run to run.

    Parameters
    ----------
    regions : `~regions.Regions`

    Returns
    -------
    str
    """
    lines = ["# Region file format: DS9"]
    for region in regions:
        *_, frame, shape = region.serialize(format="ds9", precision=10).strip().splitlines()
        lines.append(f"{frame}; {shape} # color={region.visual['color']} text={{{region.meta['text']}}}")
    return "\n".join(lines) + "\n"
