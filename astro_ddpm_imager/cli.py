"""Command line: astro-ddpm-imager image, demo, simulate, evaluate and models."""

import argparse
import logging
import math
import sys
from pathlib import Path

import astropy.units as u
from tqdm.contrib.logging import logging_redirect_tqdm

from . import __version__
from .batch import image_demo, image_files
from .diffusion.denoiser import DEVICES
from .diffusion.models import list_models, load_card
from .diffusion.reconstruction import AGGREGATES
from .diffusion.sampling import SAMPLERS
from .errors import DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError
from .imager import DiffusionImager
from .simulate import SHAPES, GainErrors, Observation, SourceRecipe, read_array, simulate_fields, thermal_rms
from .simulate.imaging import WEIGHTINGS

__all__ = ["main"]


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error, which is printed.
    """
    args = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("astro_ddpm_imager").setLevel(logging.WARNING if args.quiet else logging.INFO)
    try:
        with logging_redirect_tqdm():
            args.run(args)
    except (DirtyImageError, EvaluationError, ModelError, SettingError, SimulationError, OSError) as error:
        print(f"astro-ddpm-imager: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"astro-ddpm-imager: interrupted; files written so far are whole, {args.way}", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="astro-ddpm-imager",
        description="Reconstruct dirty images and catalogue their sources with a diffusion model.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    image = commands.add_parser(
        "image",
        help="reconstruct dirty images and catalogue their sources",
        description="For each FILE, write NAME.model.fits (reconstruction, Jy/pixel), NAME.uncertainty.fits, "
        "NAME.image.fits (restored, Jy/beam), NAME.residual.fits, NAME.catalog.ecsv, NAME.reg (DS9) and NAME.png, "
        "and print the catalogue. NAME is FILE without its ending (.dirty.fits, .fits, ...).",
    )
    image.add_argument("files", nargs="+", metavar="FILE", type=Path, help="dirty image, FITS or CASA, Jy/beam")
    image.add_argument("--psf", type=Path, metavar="F", help="PSF (dirty beam) on the same pixels")
    image.add_argument("--pb", type=Path, metavar="F", help="primary beam on the same pixels")
    image.add_argument("--mask", type=Path, metavar="F", help="catalogue sources only where this is not 0")
    image.add_argument(
        "--beam", nargs=3, type=float, metavar=("MAJ", "MIN", "PA"),
        help="restoring beam, instead of the header's: FWHM of the axes in arcsec, position angle in degrees",
    )  # fmt: skip
    image.add_argument("--channel", type=int, metavar="N", help="0-based channel of a cube, and of F that are cubes")
    image.add_argument("--stokes", type=int, metavar="N", help="0-based Stokes plane of a cube, and of such F")
    image.add_argument(
        "--wsclean", action="store_true",
        help="each FILE is the -name of a run of WSClean: take FILE-dirty.fits, FILE-psf.fits and its primary beam, "
        "and those of channels; write FILE-model.fits, FILE-image.fits and FILE-residual.fits as WSClean does, and "
        "-uncertainty.fits, -catalog.ecsv, -catalog.reg, -plot.png, beside them or in DIR",
    )  # fmt: skip
    image.add_argument(
        "--resume", action="store_true", help="skip files whose products are all there; finish what was interrupted"
    )
    _add_settings(image)
    image.set_defaults(run=image_files, way="--resume goes on")

    demo = commands.add_parser(
        "demo",
        help="the whole job on a field that comes with the package",
        description="Reconstruct a simulated ALMA field, exported by CASA, that comes with the package.",
    )
    _add_settings(demo)
    demo.set_defaults(run=image_demo, way="--overwrite starts again")

    simulate = commands.add_parser(
        "simulate",
        help="simulate fields as an interferometer sees them",
        description="Write NNNN.dirty.fits, psf.fits, pb.fits and truth.ecsv of simulated fields. The defaults are "
        "Table 1 of Taran et al. 2023: 1 to 5 sources of 50 to 500 uJy and 0.4 to 0.8 arcsec, seen with ALMA.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_simulation(simulate)
    simulate.set_defaults(run=_simulate, way="--overwrite starts again")

    evaluate = commands.add_parser(
        "evaluate",
        help="measure catalogues, errors and reliabilities on fields with known sources",
        description="Image the fields of FOLDER, as astro-ddpm-imager simulate writes them, find their sources with "
        "this package, a matched filter and whatever else is installed (PyBDSF, tclean, WSClean), and write "
        "report.html with all figures and tables, and the numbers as ECSV and JSON. The same command goes on after an "
        "interruption.",
    )
    _add_evaluation(evaluate)
    evaluate.set_defaults(run=_evaluate, way="the same command goes on")

    models = commands.add_parser("models", help="list the models and what their cards say")
    models.set_defaults(run=_models, way="the same command goes on", quiet=False)
    return parser


def _add_settings(parser):
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="folder of the products (default: here)")
    _add_sampling(parser)
    parser.add_argument("--aggregate", choices=AGGREGATES, default="beam-median", help="default: beam-median")
    parser.add_argument(
        "--reliability", type=float, metavar="R", help="lowest reliability in the catalogue (default: the model's)"
    )
    parser.add_argument(
        "--purity",
        type=float,
        metavar="P",
        help="instead of --reliability: 0.8, 0.9, 0.95 or 0.99",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same files")
    parser.add_argument("--overwrite", action="store_true", help="replace existing products")


def _add_sampling(parser):
    parser.add_argument(
        "--model", default="default", help="name of a model, or the path of an .onnx file (default: default)"
    )
    parser.add_argument(
        "--samples", type=int, default=20, metavar="N", help="number of posterior samples (default: 20)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="sampling steps (default: the model's)")
    parser.add_argument("--sampler", choices=SAMPLERS, default="unipc", help="default: unipc")
    parser.add_argument(
        "--pblimit", type=float, default=0.2, metavar="P", help="blank below this primary beam (default: 0.2)"
    )
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="default: auto, which says in the log what it took"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--quiet", action="store_true", help="no log but warnings")


def _add_evaluation(parser):
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="NNNN.dirty.fits, psf.fits, pb.fits, truth.ecsv")
    parser.add_argument("--truth", type=Path, metavar="F", help="table of the true sources (default: the folder's)")
    parser.add_argument(
        "--output", type=Path, default=Path("report"), metavar="DIR", help="folder of the report (default: report)"
    )
    parser.add_argument("--fields", type=int, metavar="N", help="only the first N fields")
    parser.add_argument(
        "--raw", action="store_true", help="leave out the model's calibration, and fit one: calibration.json"
    )
    parser.add_argument("--radius", type=float, metavar="ARCSEC", help="matching radius (default: half a beam)")
    parser.add_argument(
        "--noise-protocol",
        metavar="P",
        help="of the fields, if the truth does not say: independent or shared",
    )
    _add_sampling(parser)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the samples (default: 1)")


def _add_simulation(parser):
    low_high = {"nargs": 2, "type": float, "metavar": ("LOW", "HIGH")}
    parser.add_argument("--fields", type=int, default=1, metavar="N", help="number of fields")
    parser.add_argument("--output-dir", type=Path, default=Path("simulated"), metavar="DIR", help="folder of the files")
    parser.add_argument(
        "--array", default="alma.cycle5.3", help="configuration that comes with the package, or a CASA .cfg file"
    )
    parser.add_argument("--ra", type=float, default=150.0, metavar="DEG", help="right ascension of the pointing")
    parser.add_argument("--dec", type=float, default=2.2, metavar="DEG", help="declination of the pointing")
    parser.add_argument("--minutes", type=float, default=20.0, help="length of the observation")
    parser.add_argument("--hour-angle", type=float, default=0.0, metavar="H", help="of the source, half-way, hours")
    parser.add_argument("--integration", type=float, default=30.0, metavar="S", help="integration time, seconds")
    parser.add_argument("--frequency", type=float, default=230.0, metavar="GHZ")
    parser.add_argument("--bandwidth", type=float, default=1.872, metavar="GHZ", help="of the whole band")
    parser.add_argument(
        "--channels", type=int, default=1, metavar="N", help="frequencies in the band, which fill the uv plane"
    )
    parser.add_argument("--weighting", choices=WEIGHTINGS, default="natural")
    parser.add_argument("--robust", type=float, default=0.5, help="for briggs weighting")
    parser.add_argument("--imsize", type=int, default=512, metavar="N", help="pixels on a side")
    parser.add_argument("--cell", type=float, default=0.1, metavar="ARCSEC", help="pixel")
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument("--pwv", type=float, default=1.796, metavar="MM", help="precipitable water vapour")
    noise.add_argument("--rms", type=float, metavar="UJY", help="noise of the naturally weighted image, instead")
    parser.add_argument("--shared-noise", action="store_true", help="the same noise in all fields")
    parser.add_argument(
        "--sources", nargs=2, type=int, default=(1, 5), metavar=("LOW", "HIGH"), help="number in a field"
    )
    parser.add_argument("--flux", default=(50.0, 500.0), help="total flux, uJy", **low_high)
    parser.add_argument("--slope", type=float, default=0.0, help="of the number counts: dN/dS ~ S^slope")
    parser.add_argument("--size", default=(0.4, 0.8), help="FWHM of either axis, arcsec", **low_high)
    parser.add_argument("--reach", type=float, default=10.0, metavar="ARCSEC", help="largest offset on each axis")
    parser.add_argument("--pairs", type=float, default=0.0, metavar="F", help="fraction within an arcsec of another")
    parser.add_argument("--clustering", type=float, metavar="ARCSEC", help="gather the sources, with this spread")
    parser.add_argument(
        "--bright", nargs="*", type=float, default=(), metavar="MJY", help="total fluxes of more sources in each field"
    )
    parser.add_argument(
        "--extended", nargs="*", choices=SHAPES, default=(), help="extended sources in each field besides, one of each"
    )
    parser.add_argument("--extended-flux", default=(5.0, 50.0), help="total flux of each, mJy", **low_high)
    parser.add_argument("--extended-size", default=(2.0, 10.0), help="size of each, arcsec", **low_high)
    parser.add_argument(
        "--gain-errors", nargs=2, type=float, metavar=("PERCENT", "DEG"),
        help="standard deviation of amplitudes and phases of antennas",
    )  # fmt: skip
    parser.add_argument(
        "--gain-nodes", type=int, default=3, metavar="N", help="moments between which gains drift; 1: they do not"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same fields")
    parser.add_argument("--overwrite", action="store_true", help="replace all fields in the folder")
    parser.add_argument("--quiet", action="store_true", help="no log but warnings")


def _simulate(args):
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
        robust=args.robust,
    )
    recipe = SourceRecipe(
        number=tuple(args.sources),
        flux=args.flux * u.uJy,
        slope=args.slope,
        size=args.size * u.arcsec,
        reach=args.reach * u.arcsec,
        pairs=args.pairs,
        clustering=None if args.clustering is None else args.clustering * u.arcsec,
        bright=args.bright * u.mJy,
        extended=tuple(args.extended),
        extended_flux=args.extended_flux * u.mJy,
        extended_size=args.extended_size * u.arcsec,
    )
    gain_errors = None
    if args.gain_errors is not None:
        percent, degrees = args.gain_errors
        gain_errors = GainErrors(percent / 100, degrees * u.deg, args.gain_nodes)
    if args.rms is None:
        rms = thermal_rms(
            array, observation.frequency, args.bandwidth * u.GHz, observation.time_on_source, args.pwv * u.mm,
            observation.elevations,
        )  # fmt: skip
    else:
        rms = args.rms * u.uJy
    truth = simulate_fields(
        observation, recipe, rms, args.output_dir, args.fields, args.seed, args.shared_noise, args.overwrite,
        gain_errors,
    )  # fmt: skip
    beam = observation.beam
    print(
        f"{args.output_dir}: {args.fields} field(s), {len(truth)} sources, noise {truth.meta['rms_uJy']:.3g} uJy/beam, "
        f"beam {beam.major.to_value(u.arcsec):.3g} x {beam.minor.to_value(u.arcsec):.3g} arcsec"
    )


def _evaluate(args):
    # Here, so that the other commands do not wait for matplotlib.
    from .evaluate import run_fields, write_report

    if args.radius is not None and not 0 < args.radius < math.inf:
        raise SettingError(f"radius={args.radius:g}: must be positive and finite")
    # Every candidate is wanted; thresholds come later.
    imager = DiffusionImager(
        args.model, n_samples=args.samples, steps=args.steps, sampler=args.sampler, reliability=0,
        pblimit=args.pblimit, device=args.device, threads=args.threads, seed=args.seed, progress=False,
        calibrate=not args.raw,
    )  # fmt: skip
    progress = False if args.quiet else None
    evaluation = run_fields(args.folder, args.output, imager, args.truth, args.fields, progress, args.noise_protocol)
    path = write_report(evaluation, args.output, None if args.radius is None else args.radius * u.arcsec)
    print(f"wrote {path}")


def _models(args):
    for name in list_models():
        card, path = load_card(name)
        print(
            f"{name} ({path.stat().st_size / 1e6:.1f} MB, {card.parameters / 1e6:.1f} million parameters, {card.date})"
        )
        print(f"  {card.description}")
        print(f"  noise protocol: {card.noise_protocol}; gamma {card.gamma:g}, c {card.c:g}")
        print(
            f"  grid: {card.pixels_per_beam:g} pixels per beam; "
            f"default steps {card.steps}, reliability {card.reliability:g}"
        )
        print("  training: " + ", ".join(f"{key} {value}" for key, value in card.training.items()))
        for test, scores in card.scores.items():
            print(f"  {test}:")
            for key, value in scores.items():
                print(f"    {key}: {value}")
        print(f"  SHA-256 {card.sha256}")


if __name__ == "__main__":
    sys.exit(main())
