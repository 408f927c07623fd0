"""Options of the command line: paths below the home folder."""

from pathlib import Path

import pytest

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line.parser import build_parser, commands_of
from astro_ddpm_imager.command_line.settings_file import parse
from astro_ddpm_imager.errors import SettingError
from astro_ddpm_imager.home import expanded
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
