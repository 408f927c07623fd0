"""The calibration of a model, from reports."""

import json
import sys

import pytest

from astro_ddpm_imager import EvaluationError
from export import calibrate


@pytest.mark.parametrize(
    "missing, errors", [("threshold", False), ("threshold", True), ("flux_err", False), ("position_err", True)]
)
def test_a_report_with_too_few_sources_is_refused(missing, errors, tmp_path, monkeypatch):
    fitted = {"reliability": None, "flux_err": 1.1, "position_err": 1.0, "threshold": 0.3, "fields": 2}
    (tmp_path / "calibration.json").write_text(json.dumps(fitted | {missing: None}))
    more = ["--errors", str(tmp_path)] if errors else []
    monkeypatch.setattr(sys, "argv", ["calibrate", str(tmp_path), *more])
    with pytest.raises(EvaluationError, match=f"^report='.*': too few of its sources .* to fit {missing}; take"):
        calibrate.main()
