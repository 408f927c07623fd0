"""The options of each command."""

import argparse
from pathlib import Path

from .. import __version__
from ..errors import SettingError
from ..home import expanded
from .printing import say

__all__ = ["build_parser", "channels", "commands_of", "path"]

# Names that the package knows, written out: importing what has them would take longer than --help may. Tests compare.
AGGREGATES = ("beam-median", "mean", "median", "single")
DEVICES = ("auto", "cpu", "cuda")
SAMPLERS = ("ddpm", "unipc")
SHAPES = ("ellipse", "disc", "double", "clumps")
WEIGHTINGS = ("natural", "uniform", "briggs")
FRAMEWORKS = ("wsclean", "stimela")
SHELLS = ("bash", "zsh", "tcsh")
DEMO_SEED = 1  # that of the picture in the README


def build_parser():
    """Build the parser.

    Returns
    -------
    `argparse.ArgumentParser`
    """
    common = _common()
    parser = argparse.ArgumentParser(
        prog="astro-ddpm-imager",
        description="Reconstruct dirty images and catalogue their sources with a diffusion model.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS,
        help='print what completes commands and options with TAB, for eval "$(...)" in ~/.bashrc or a file of zsh',
    )  # fmt: skip
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")

    def add(name, add_options, summary, description, run, way, **settings):
        command = subparsers.add_parser(name, help=summary, description=description, parents=[common], **settings)
        add_options(command)
        command.set_defaults(run=f"{__package__.partition('.')[0]}.{run}", way=way)

    add(
        "image", _add_image, "reconstruct dirty images and catalogue their sources",
        "For each FILE, write NAME.model.fits (reconstruction, Jy/pixel), NAME.uncertainty.fits, "
        "NAME.image.fits (restored, Jy/beam), NAME.residual.fits, NAME.catalog.ecsv, NAME.reg (DS9) and NAME.png, "
        "and print the catalogue. NAME is FILE without its ending (.dirty.fits, .fits, ...). Of a cube, the images are "
        "cubes, and NAME.channels.ecsv has the noise and the beam of each channel.",
        "batch:image_files", "--resume goes on",
        epilog="With --json, each line has file, prefix, products, n_sources, noise, noise_unit, seed, chi2 (of the "
        "residual), misfit (what is wrong with it) and warnings; of a cube, n_channels, blank (which are), the chi2 "
        "of each and the median noise; or file and error; or, with --resume, file, prefix and skipped.",
    )  # fmt: skip
    add(
        "demo", _add_demo, "the whole job on a field that comes with the package",
        "Reconstruct a simulated ALMA field, exported by CASA, that comes with the package.",
        "batch:image_demo", "--overwrite starts again",
    )  # fmt: skip
    add(
        "simulate", _add_simulation, "simulate fields as an interferometer sees them",
        "Write NNNN.dirty.fits, psf.fits, pb.fits and truth.ecsv of simulated fields. The defaults are "
        "Table 1 of Taran et al. 2023: 1 to 5 sources of 50 to 500 uJy and 0.4 to 0.8 arcsec, seen with ALMA.",
        "command_line.simulation:simulate", "--overwrite starts again",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )  # fmt: skip
    add(
        "evaluate", _add_evaluation, "measure catalogues, errors and reliabilities on fields with known sources",
        "Image the fields of FOLDER, as astro-ddpm-imager simulate writes them, find their sources with "
        "this package, a matched filter and whatever else is installed (PyBDSF, tclean, WSClean), and write "
        "report.html with all figures and tables, and the numbers as ECSV and JSON. The same command goes on after an "
        "interruption.",
        "command_line.evaluation:evaluate", "the same command goes on",
    )  # fmt: skip
    add(
        "models", _add_models, "list the models and what their cards say",
        "List the models that come with the package; with -v, or of each MODEL, all that the card says.",
        "command_line.models:show_models", "the same command goes on",
    )  # fmt: skip
    add(
        "plugin", _add_plugin, "print the path of what an imaging framework loads",
        "Print the path of the file that FRAMEWORK loads. wsclean ... -python-deconvolution $(astro-ddpm-imager plugin "
        "wsclean) reconstructs in each major cycle of WSClean; _include of that of stimela gives Stimela 2 the cab "
        "astro-ddpm-imager.",
        "command_line.plugin:print_plugin", "the same command starts again",
    )  # fmt: skip
    return parser


def channels(text):
    """A channel, or several.

    Parameters
    ----------
    text : str or int
        ``N``, ``A:B``, ``A:`` or ``:B``.

    Returns
    -------
    int or slice

    Raises
    ------
    argparse.ArgumentTypeError
        It is neither.
    """
    try:
        if ":" not in str(text):
            return int(text)
        start, _, stop = text.partition(":")
        return slice(int(start) if start.strip() else None, int(stop) if stop.strip() else None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be a whole number, or text such as '10:20', '10:' or ':20', not {text!r}"
        ) from error


def path(text):
    """A path, with the home folder in place of ``~``, which shells leave as it is in ``--psf=~/psf.fits``.

    Parameters
    ----------
    text : str

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    argparse.ArgumentTypeError
        There is no such home folder.
    """
    try:
        return expanded(text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def commands_of(parser):
    """The parser of each command.

    Parameters
    ----------
    parser : `argparse.ArgumentParser`
        As `build_parser` makes it.

    Returns
    -------
    dict of `argparse.ArgumentParser`
        By name.
    """
    return next(action.choices for action in parser._actions if action.dest == "command")


class _OneOrSeveral(argparse.Action):
    """The value of an option, or all of them in a list if it is given again."""

    several = True

    def __call__(self, parser, namespace, values, option_string=None):
        before = getattr(namespace, self.dest)
        if before is not self.default:
            values = [*(before if isinstance(before, list) else [before]), values]
        setattr(namespace, self.dest, values)


class _PrintCompletion(argparse.Action):
    """Print the completion for a shell, and stop."""

    def __call__(self, parser, namespace, values, option_string=None):
        import shtab

        for each in (parser, *commands_of(parser).values()):
            for action in each._actions:
                if action.type is path:
                    action.complete = shtab.DIRECTORY if action.metavar in ("DIR", "FOLDER") else shtab.FILE
        say(shtab.complete(parser, values))
        parser.exit()


def _common():
    """Options of every command, before its name or behind."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    level = common.add_mutually_exclusive_group()
    level.add_argument("-v", "--verbose", action="store_true", help="more log, and where errors come from")
    level.add_argument("-q", "--quiet", action="store_true", help="no log but warnings, no progress")
    common.add_argument("--json", action="store_true", help="print a line of JSON for each file, instead of text")
    common.add_argument(
        "--config", type=path, metavar="F",
        help="TOML file of settings: a table for each command, such as [image], with its long options as keys, such "
        "as samples = 20; the command line comes first",
    )  # fmt: skip
    return common


def _add_image(image):
    image.add_argument("files", nargs="+", metavar="FILE", type=path, help="dirty image, FITS or CASA, Jy/beam")
    image.add_argument(
        "--psf", action=_OneOrSeveral, type=path, metavar="F",
        help="PSF (dirty beam) on the same pixels; or, once for each, PSFs of several places of a mosaic: the nearest "
        "counts",
    )  # fmt: skip
    image.add_argument("--pb", type=path, metavar="F", help="primary beam on the same pixels")
    image.add_argument("--mask", type=path, metavar="F", help="catalogue sources only where this is not 0")
    image.add_argument(
        "--beam", nargs=3, type=float, metavar=("MAJ", "MIN", "PA"),
        help="restoring beam, instead of the header's: FWHM of the axes in arcsec, position angle in degrees",
    )  # fmt: skip
    image.add_argument(
        "--noise", type=path, metavar="F",
        help="how the noise varies: a map of it in Jy/beam, or, in another unit, a weight image (default: measured)",
    )  # fmt: skip
    image.add_argument(
        "--tile", type=int, metavar="N",
        help="work in tiles of N pixels on a side; 0: never (default: of 1024, for more than 2048 x 2048 pixels)",
    )  # fmt: skip
    image.add_argument(
        "--channel", type=channels, metavar="N",
        help="0-based channel of a cube, and of F that are cubes, as one image; or A:B, from A to before B, as a cube "
        "(default: all channels of a cube)",
    )  # fmt: skip
    image.add_argument(
        "--joint", action="store_true",
        help="of a cube, image the mean of the channels, and write NAME.spectra.ecsv: the sources that are in it, with "
        "a flux for each channel",
    )  # fmt: skip
    image.add_argument("--stokes", type=int, metavar="N", help="0-based Stokes plane of a cube, and of such F")
    image.add_argument(
        "--wsclean", action="store_true",
        help="each FILE is the -name of a run of WSClean: take FILE-dirty.fits, FILE-psf.fits and its primary beam, "
        "and those of channels; write FILE-model.fits, FILE-image.fits and FILE-residual.fits as WSClean does, and "
        "-uncertainty.fits, -catalog.ecsv, -catalog.reg, -plot.png, beside them or in DIR",
    )  # fmt: skip
    image.add_argument(
        "--resume", action="store_true",
        help="skip files whose products are all there; finish what was interrupted, a large image at its next tile",
    )  # fmt: skip
    _add_products(image)
    image.add_argument(
        "--keep-axes", action="store_true",
        help="give images the axes of length 1, frequency and Stokes, that FILE has, as CASA exports them and "
        "spectral-cube wants them (default: two axes; with --wsclean, WSClean's)",
    )  # fmt: skip
    image.add_argument(
        "--scheduler", metavar="TCP",
        help="address of a Dask scheduler, such as tcp://host:8786: its workers do the work, each file on one of them",
    )  # fmt: skip
    image.add_argument(
        "--seed", type=int, metavar="N", help="the same seed gives the same results (default: a new one)"
    )


def _add_demo(demo):
    _add_products(demo)
    demo.add_argument("--seed", type=int, default=DEMO_SEED, metavar="N", help=f"of the samples (default: {DEMO_SEED})")


def _add_products(parser):
    parser.add_argument("--output-dir", type=path, metavar="DIR", help="folder of the products (default: here)")
    _add_sampling(parser)
    parser.add_argument("--aggregate", choices=AGGREGATES, default="beam-median", help="default: beam-median")
    lowest = parser.add_mutually_exclusive_group()
    lowest.add_argument(
        "--reliability", type=float, metavar="R", help="lowest reliability in the catalogue (default: the model's)"
    )
    lowest.add_argument(
        "--purity", type=float, metavar="P", help="instead of --reliability: 0.8, 0.9, 0.95 or 0.99"
    )  # fmt: skip
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
        "--insist", action="store_true", help="use a model that knows one noise by heart on other noise, too"
    )
    parser.add_argument(
        "--pblimit", type=float, default=0.2, metavar="P", help="blank below this primary beam (default: 0.2)"
    )
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="default: auto, which says in the log what it took"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")


def _add_evaluation(parser):
    parser.add_argument("folder", type=path, metavar="FOLDER", help="NNNN.dirty.fits, psf.fits, pb.fits, truth.ecsv")
    parser.add_argument("--truth", type=path, metavar="F", help="table of the true sources (default: the folder's)")
    parser.add_argument(
        "--output", type=path, default=Path("report"), metavar="DIR", help="folder of the report (default: report)"
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
    parser.add_argument("--output-dir", type=path, default=Path("simulated"), metavar="DIR", help="folder of the files")
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
    parser.add_argument("--robust", type=float, help="needs --weighting briggs (default: 0.5)")
    parser.add_argument(
        "--imsize", type=int, default=512, metavar="N", help="pixels on a side, an even number from 32 to 16384"
    )
    parser.add_argument("--cell", type=float, default=0.1, metavar="ARCSEC", help="pixel")
    noise = parser.add_mutually_exclusive_group()
    noise.add_argument(
        "--pwv", type=float, default=1.796, metavar="MM",
        help="precipitable water vapour, which says the noise; only of ALMA and the ACA, other arrays need --rms",
    )  # fmt: skip
    noise.add_argument("--rms", type=float, metavar="UJY", help="noise of the naturally weighted image, instead")
    parser.add_argument("--shared-noise", action="store_true", help="the same noise in all fields, whatever the seed")
    parser.add_argument(
        "--sources", nargs=2, type=int, default=(1, 5), metavar=("LOW", "HIGH"), help="number in a field"
    )
    parser.add_argument("--flux", default=(50.0, 500.0), help="total flux, uJy", **low_high)
    parser.add_argument("--slope", type=float, default=0.0, help="of the number counts: dN/dS ~ S^slope")
    parser.add_argument("--size", default=(0.4, 0.8), help="FWHM of either axis, arcsec", **low_high)
    parser.add_argument("--reach", type=float, default=10.0, metavar="ARCSEC", help="largest offset on each axis")
    parser.add_argument(
        "--grid", type=float, default=0.0, metavar="ARCSEC", help="offsets are multiples of it; 0: continuous"
    )
    parser.add_argument("--pairs", type=float, default=0.0, metavar="F", help="fraction within an arcsec of another")
    parser.add_argument("--clustering", type=float, metavar="ARCSEC", help="gather the sources, with this spread")
    parser.add_argument(
        "--bright", nargs="*", type=float, default=(), metavar="MJY", help="total fluxes of more sources in each field"
    )
    parser.add_argument(
        "--extended", nargs="*", choices=SHAPES, default=(), help="extended sources in each field besides, one of each"
    )
    parser.add_argument("--extended-flux", help="total flux of each, mJy; needs --extended (default: 5 50)", **low_high)
    parser.add_argument("--extended-size", help="size of each, arcsec; needs --extended (default: 2 10)", **low_high)
    parser.add_argument(
        "--gain-errors", nargs=2, type=float, metavar=("PERCENT", "DEG"),
        help="standard deviation of amplitudes and phases of antennas",
    )  # fmt: skip
    parser.add_argument(
        "--gain-nodes",
        type=int,
        metavar="N",
        help="moments between which gains drift; 1: they do not; needs --gain-errors (default: 3)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed gives the same fields")
    parser.add_argument("--overwrite", action="store_true", help="replace all fields in the folder")


def _add_models(parser):
    parser.add_argument("models", nargs="*", metavar="MODEL", help="name, or path of an .onnx file")


def _add_plugin(parser):
    parser.add_argument("framework", choices=FRAMEWORKS, metavar="FRAMEWORK", help="wsclean or stimela")
    parser.add_argument("--output", type=path, metavar="F", help="write the file there, instead of to the cache")
