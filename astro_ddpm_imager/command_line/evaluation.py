"""What the command evaluate does."""

import json
import math

import astropy.units as u

from ..errors import EvaluationError, SettingError
from ..evaluate import run_fields, write_report
from .imager import imager_of
from .printing import say, say_json

__all__ = ["evaluate"]


def evaluate(args):
    """Image fields whose sources are known, and write the report.

    Parameters
    ----------
    args : `argparse.Namespace`
        Arguments of the command ``evaluate``, by their names there.

    Raises
    ------
    SettingError, EvaluationError, FileNotFoundError
        An argument or the truth cannot be used; or, after the report of the others is written, some fields.
    """
    if args.radius is not None and not 0 < args.radius < math.inf:
        raise SettingError(f"radius={args.radius:g}: must be positive and finite")
    # Every candidate is wanted; thresholds come later. Of tiles no samples are kept.
    imager = imager_of(args, reliability=0, calibrate=not args.raw, progress=False, tile=0)
    progress = False if args.quiet else None
    evaluation = run_fields(args.folder, args.output, imager, args.truth, args.fields, progress, args.noise_protocol)
    path = write_report(evaluation, args.output, None if args.radius is None else args.radius * u.arcsec)
    failures = evaluation.failures
    if args.json:
        for name, error in failures.said:
            say_json(file=name, error=error)
        numbers = path.with_suffix(".json")
        scores = json.loads(numbers.read_text())["scores"]
        say_json(folder=args.folder, report=path, numbers=numbers, scores=scores)
    else:
        say(f"wrote {path}")
    if failures.said:
        raise EvaluationError(f"{failures}; the report is without them, the same command makes them again")
