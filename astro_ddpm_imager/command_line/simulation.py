"""What the command simulate does."""

import astropy.units as u
import numpy as np

from ..errors import SettingError
from ..simulate import GainErrors, Observation, SourceRecipe, read_array, simulate_fields, thermal_rms
from .printing import say, say_json

__all__ = ["simulate"]


def simulate(args):
    """Simulate the fields, and say what they are.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``simulate``, by their names there.

    Raises
    ------
    SettingError, SimulationError, FileExistsError
        Before any work: an argument, fields that exist.
    """
    _check_used(args)
    array = read_array(args.array)
    observation = Observation(
        array,
        ra=args.ra * u.deg,
        declination=args.dec * u.deg,
        duration=args.minutes * u.min,
        integration=args.integration * u.s,
        hour_angle=args.hour_angle * u.hourangle,
        frequency=args.frequency * u.GHz,
        bandwidth=args.bandwidth * u.GHz,
        channels=args.channels,
        shape=(args.imsize, args.imsize),
        cell=args.cell * u.arcsec,
        weighting=args.weighting,
        **_given(robust=args.robust),
    )
    recipe = SourceRecipe(
        number=tuple(args.sources),
        flux=args.flux * u.uJy,
        slope=args.slope,
        size=args.size * u.arcsec,
        reach=args.reach * u.arcsec,
        grid=args.grid * u.arcsec,
        pairs=args.pairs,
        clustering=None if args.clustering is None else args.clustering * u.arcsec,
        bright=args.bright * u.mJy,
        extended=tuple(args.extended),
        **_given(
            extended_flux=None if args.extended_flux is None else args.extended_flux * u.mJy,
            extended_size=None if args.extended_size is None else args.extended_size * u.arcsec,
        ),
    )
    gain_errors = None
    if args.gain_errors is not None:
        percent, degrees = args.gain_errors
        gain_errors = GainErrors(percent / 100, degrees * u.deg, **_given(nodes=args.gain_nodes))
    if args.rms is None:
        pwv = args.pwv * u.mm
        rms = thermal_rms(
            array, observation.frequency, args.bandwidth * u.GHz, observation.time_on_source, pwv,
            observation.elevations,
        )  # fmt: skip
    else:
        pwv, rms = None, args.rms * u.uJy
    truth = simulate_fields(
        observation, recipe, rms, args.output_dir, args.fields, args.seed, args.shared_noise, args.overwrite,
        gain_errors, pwv,
    )  # fmt: skip
    if args.json:
        for number in range(args.fields):
            say_json(
                file=args.output_dir / f"{number:04d}.dirty.fits",
                psf=args.output_dir / "psf.fits",
                pb=args.output_dir / "pb.fits",
                truth=args.output_dir / "truth.ecsv",
                n_sources=int((truth["field"] == number).sum()),
                noise=truth.meta["rms_uJy"] / 1e6,
                noise_unit="Jy/beam",
                seed=args.seed,
            )
        return
    beam = observation.beam
    say(
        f"{args.output_dir}: {args.fields} field(s), {len(truth)} sources, noise {truth.meta['rms_uJy']:.3g} uJy/beam, "
        f"beam {beam.major.to_value(u.arcsec):.3g} x {beam.minor.to_value(u.arcsec):.3g} arcsec"
    )


def _given(**options):
    """Without those that have the default of what takes them."""
    return {name: value for name, value in options.items() if value is not None}


def _check_used(args):
    """Fail if an option would change nothing without another."""
    for option, value, used, needed in (
        ("robust", args.robust, args.weighting == "briggs", "--weighting briggs"),
        ("gain-nodes", args.gain_nodes, args.gain_errors is not None, "--gain-errors"),
        ("extended-flux", args.extended_flux, args.extended, "--extended"),
        ("extended-size", args.extended_size, args.extended, "--extended"),
    ):
        if value is not None and not used:
            shown = " ".join(f"{each:g}" for each in np.atleast_1d(value))
            raise SettingError(f"--{option} {shown}: changes nothing without {needed}; give both, or neither")
