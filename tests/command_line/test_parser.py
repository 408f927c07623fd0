"""Options of the command line: paths below the home folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line.parser import build_parser, commands_of
from astro_ddpm_imager.command_line.settings_file import parse
from astro_ddpm_imager.errors import SettingError
from astro_ddpm_imager.home import expanded, settings_folder
from astro_ddpm_imager.simulate import read_array
from astro_ddpm_imager.simulate.array import SHIPPED


@pytest.mark.parametrize(
    ("call", "dest"),
    [
        (["image", "a.fits", "--psf=~/x"], "psf"),
        (["image", "a.fits", "--noise=~/x"], "noise"),
        (["image", "a.fits", "--output-dir=~/x"], "output_dir"),
        (["demo", "--output-dir=~/x"], "output_dir"),
        (["simulate", "--output-dir=~/x"], "output_dir"),
        (["evaluate", "~/x"], "folder"),
        (["evaluate", "f", "--truth=~/x"], "truth"),
        (["evaluate", "f", "--output=~/x"], "output"),
        (["plugin", "wsclean", "--output=~/x"], "output"),
    ],
)
def test_what_the_shell_leaves_of_the_home_folder_is_known(call, dest, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert getattr(parse(call), dest) == tmp_path / "x"
    with pytest.raises(SystemExit):
        parse([argument.replace("~", "~nobody-at-all") for argument in call])
    assert "~nobody-at-all/x: there is no such home folder; give the whole path" in capsys.readouterr().err


def test_a_channel_that_is_none(capsys):
    for text in ("a", "1:b", "1.5"):
        with pytest.raises(SystemExit):
            parse(["image", "a.fits", "--channel", text])
        said = f"argument --channel: must be a whole number, or text such as '10:20', '10:' or ':20', not {text!r}"
        assert said in capsys.readouterr().err


def test_several_files_below_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    args = parse(["image", "~/a.fits", "b.fits", "--psf=~/a", "--psf=~/b"])
    assert args.files == [tmp_path / "a.fits", Path("b.fits")] and args.psf == [tmp_path / "a", tmp_path / "b"]


def test_a_settings_file_with_a_home_folder_that_is_not_known(tmp_path):
    path = tmp_path / "night.toml"
    path.write_text('[image]\npsf = "~nobody-at-all/x"\n')
    with pytest.raises(SettingError, match=r'\[image\] psf = "~nobody-at-all/x": ~nobody-at-all/x: there is no such'):
        parse(["image", "a.fits", "--config", str(path)])


def test_no_option_has_a_path_of_another_kind():
    """They would not know the home folder."""
    parser = build_parser()
    actions = [action for each in (parser, *commands_of(parser).values()) for action in each._actions]
    assert not [action.dest for action in actions if action.type is Path]


def test_products_and_arrays_below_the_home_folder(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.cfg").write_text((SHIPPED / "vla.d.cfg").read_text())
    assert len(read_array("~/my.cfg").positions) == 27
    assert main(["plugin", "stimela", "--output=~/new/stimela.yml"]) == 0
    assert (tmp_path / "new" / "stimela.yml").is_file() and not (tmp_path / "~").exists()
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "stimela.yml")


def test_whose_home_folder_is_not_known(tmp_path):
    assert expanded(tmp_path) == tmp_path
    with pytest.raises(SettingError, match="~nobody-at-all/x: there is no such home folder; give the whole path"):
        expanded("~nobody-at-all/x")


HOMELESS = """
import os, pwd, sys
def nobody(uid):
    raise KeyError(uid)
pwd.getpwuid = nobody
from astro_ddpm_imager.cli import main
sys.exit(main())
"""


@pytest.fixture
def homeless():
    """Function that runs a command as a user without HOME and entry, as in containers, and returns what it says."""
    pytest.importorskip("pwd", reason="of Windows, each user has a home folder")

    def run(*call):
        of_home = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "ASTROPY_CONFIG_DIR", "MPLCONFIGDIR")
        environment = {name: value for name, value in os.environ.items() if name not in of_home}
        done = subprocess.run([sys.executable, "-c", HOMELESS, *call], capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout, done.stderr

    return run


def test_who_has_no_home_folder(homeless):
    """Without one astropy cannot be imported."""
    code, said, log = homeless("models")
    assert code == 0 and "default" in said, log
    assert "this user has no home folder that can be read (HOME)" in log and "Traceback" not in log
    code, _, log = homeless("plugin", "wsclean")
    assert code == 1 and log.count("\n") == 1 and "say where to write it with --output FILE" in log


def test_the_folder_in_place_of_a_home_goes_with_the_run(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with settings_folder():
        folder = Path(os.environ["XDG_CONFIG_HOME"])
        assert (folder / "astropy").is_dir() and os.environ["XDG_CACHE_HOME"] == str(tmp_path)
    assert not folder.exists() and "XDG_CONFIG_HOME" not in os.environ
    monkeypatch.setenv("HOME", str(tmp_path))  # where there is one, it is left to it
    with settings_folder():
        assert "XDG_CONFIG_HOME" not in os.environ
