"""Settings files: what they set, and what is said of those that cannot be used."""

from pathlib import Path

import pytest
from astropy.io import fits

from astro_ddpm_imager.cli import main
from astro_ddpm_imager.command_line.settings_file import parse
from astro_ddpm_imager.errors import SettingError


@pytest.fixture
def settings(tmp_path):
    """Function that writes a settings file, and returns its path as text."""

    def write(text):
        path = tmp_path / "night.toml"
        path.write_text(text)
        return str(path)

    return write


IMAGE = """
[image]
samples = 2
psf = "psf.fits"
beam = [1, 0.5, 30]
purity = 0.9
overwrite = true
resume = false
sampler = "ddpm"
pblimit = 0

[simulate]
rms = 20
bright = [3.0, 5]
sources = [0, 2]
"""


def test_options_of_a_command_come_from_its_table(settings):
    args = parse(["image", "a.fits", "--config", settings(IMAGE)])
    assert (args.samples, args.psf, args.beam, args.purity) == (2, Path("psf.fits"), [1.0, 0.5, 30.0], 0.9)
    assert (args.overwrite, args.resume, args.sampler, args.pblimit) == (True, False, "ddpm", 0.0)
    assert (args.steps, args.aggregate, args.files) == (None, "beam-median", [Path("a.fits")])
    args = parse(["simulate", "--config", settings(IMAGE)])
    assert (args.rms, args.bright, args.sources, args.seed) == (20.0, [3.0, 5.0], [0, 2], 1)
    assert parse(["demo", "--config", settings(IMAGE)]).samples == 20


@pytest.mark.parametrize(
    ("value", "expected"), [("3", 3), ('"3"', 3), ('"10:20"', slice(10, 20)), ('":20"', slice(None, 20))]
)
def test_one_channel_or_several(settings, value, expected):
    assert parse(["image", "a.fits", "--config", settings(f"[image]\nchannel = {value}\n")]).channel == expected
    assert parse(["image", "a.fits", "--channel", value.strip('"')]).channel == expected


def test_the_command_line_comes_first(settings):
    path = settings(IMAGE)
    args = parse(
        ["--config", path, "image", "a.fits", "--samples", "20", "--reliability", "0.5", "--beam", "2", "1", "0"]
    )
    assert (args.samples, args.reliability, args.beam) == (20, 0.5, [2.0, 1.0, 0.0])
    assert args.purity is None  # not both
    assert parse(["simulate", "--config", path, "--pwv", "1.796"]).rms is None  # also where it is the default
    loud = settings("[image]\nquiet = true\njson = true\n")
    args = parse(["image", "a.fits", "-v", "--config", loud])
    assert (args.verbose, args.quiet, args.json) == (True, False, True)


def test_home_is_known(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse(["image", "a", "--config", settings('[image]\npsf = "~/psf.fits"\n')]).psf == tmp_path / "psf.fits"


def test_psfs_of_several_places(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = settings('[image]\npsf = ["a.fits", "~/b.fits"]\n')
    assert parse(["image", "x", "--config", path]).psf == [Path("a.fits"), tmp_path / "b.fits"]
    assert parse(["image", "x", "--config", path, "--psf", "c.fits"]).psf == Path("c.fits")
    several = ["--psf", "c.fits", "--psf", "d.fits"]
    assert parse(["image", "x", "--config", path, *several]).psf == [Path("c.fits"), Path("d.fits")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[image]\nsampels = 2", "[image] sampels: is no option of the command, did you mean samples?"),
        ("[image]\noutput_dir = 'out'", "did you mean output-dir?"),
        ("[image]\nconfig = 'other.toml'", "[image] config: is no option of the command"),
        ("[imag]\nsamples = 2", "[imag] is no command, did you mean image?; there are image, demo, simulate"),
        ("samples = 2", "samples is in no table; put it below that of its command, as [image]"),
        ("[image]\nfiles = ['a.fits']", "[image] files: is given on the command line"),
        ("[image]\nsamples = 'many'", '[image] samples = "many": must be a whole number'),
        ("[image]\nsamples = 2.5", "[image] samples = 2.5: must be a whole number"),
        ("[image]\nsamples = true", "[image] samples = true: must be a whole number"),
        ("[image]\nchannel = 'a:b'", "[image] channel = \"a:b\": must be a whole number, or text such as '10:20'"),
        ("[image]\nsamples = [2]", "[image] samples = [2]: must be a whole number"),
        ("[image]\npblimit = '0.2'", '[image] pblimit = "0.2": must be a number'),
        ("[image]\npsf = ['a', 3]", "[image] psf = ['a', 3]: must be text in quotes, or an array of it"),
        ("[image]\npsf = 3", "[image] psf = 3: must be text in quotes"),
        ("[image]\noverwrite = 'yes'", '[image] overwrite = "yes": must be true or false'),
        ("[image]\nsampler = 'euler'", '[image] sampler = "euler": must be text in quotes, one of ddpm, unipc'),
        ("[image]\nbeam = [1.0, 2.0]", "[image] beam = [1.0, 2.0]: must be an array of 3 values, each a number"),
        ("[simulate]\nbright = 3", "[simulate] bright = 3: must be an array of values, each a number"),
        ("[image]\npurity = 0.9\nreliability = 0.5", "[image] purity and reliability: give one of them"),
        ("[simulate]\nseed = 'x'", '[simulate] seed = "x": must be a whole number'),  # though it is not what is run
        ("[image", "is not TOML (Expected ']'"),
        ("[image]\npsf = 'caf\udce9'", "is not TOML"),
    ],
)
def test_what_cannot_be_used_is_named(text, said, tmp_path, capsys):
    path = tmp_path / "night.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["image", "a.fits", "--config", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"astro-ddpm-imager: error: --config {path}: ") and said in error
    assert len(error.splitlines()) == 1


def test_a_file_of_an_editor_of_windows(tmp_path):
    path = tmp_path / "night.toml"
    path.write_bytes(b"\xef\xbb\xbf[image]\r\nsamples = 2\r\n")
    assert parse(["image", "a.fits", "--config", str(path)]).samples == 2


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingError, match=r"none.toml: No such file or directory; give the path of a TOML file"):
        parse(["models", "--config", str(tmp_path / "none.toml")])
    with pytest.raises(SettingError, match="Is a directory"):
        parse(["models", "--config", str(tmp_path)])


def test_products_do_not_tell_where_settings_came_from(settings, tmp_path):
    headers = []
    path = settings('[demo]\nsamples = 2\nsteps = 3\ndevice = "cpu"\n')
    for name, options in (("a", ["--config", path]), ("b", ["--samples", "2", "--steps", "3", "--device", "cpu"])):
        assert main(["demo", *options, "--output-dir", str(tmp_path / name), "-q"]) == 0
        headers.append(fits.getheader(tmp_path / name / "demo.model.fits"))
    assert headers[0]["DNSAMP"] == 2
    assert fits.HeaderDiff(*headers, ignore_keywords=["DATE"]).identical


def test_a_misspelt_option_names_the_one_that_is_meant(capsys):
    with pytest.raises(SystemExit):
        parse(["image", "a.fits", "--psff", "b.fits"])
    said = capsys.readouterr().err
    assert said.startswith("usage: astro-ddpm-imager image ")
    assert said.endswith("unrecognized arguments: --psff b.fits, did you mean --psf?\n")
