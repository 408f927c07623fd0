"""Extended sources as sums of Gaussians: their Fourier transforms stay exact."""

import numpy as np
from astropy.stats import gaussian_sigma_to_fwhm

from .sky import Sources

__all__ = ["SHAPES", "clumps", "disc", "double", "ellipse", "highest_brightness"]

MOST = 200  # Gaussians a source


def ellipse(rng, size, finest):
    """An elliptical Gaussian, often with a smaller one in it.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    size : float
        FWHM of its major axis.
    finest : float
        Of no use here: it is as smooth as it is large.

    Returns
    -------
    `~astro_ddpm_imager.simulate.Sources`
        Around (0, 0), with a total flux of 1.
    """
    flux, x, y, major, axis_ratio = [1.0], [0.0], [0.0], [size], [rng.uniform(0.3, 1)]
    if rng.random() < 0.4:
        flux.append(_log_uniform(rng, 0.03, 0.5))
        for coordinate in (x, y):
            coordinate.append(rng.normal(0, 0.2 * size))
        major.append(0.3 * size)
        axis_ratio.append(rng.uniform(0.2, 1))
    return _as_one(x, y, flux, major, np.multiply(major, axis_ratio), rng.uniform(0, np.pi, len(flux)))


def disc(rng, size, finest):
    """An inclined disc, smooth or of one to three rings, brighter on one side, some with a point in the middle.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    size : float
        Its diameter.
    finest : float
        FWHM of the Gaussians along each ring.

    Returns
    -------
    `~astro_ddpm_imager.simulate.Sources`
        Around (0, 0), with a total flux of 1.
    """
    radius, inclination = size / 2, rng.uniform(0.15, 1)  # cosine
    width = finest * rng.uniform(0.25, 1)
    if rng.random() < 0.5:
        width = max(finest, radius / 8)
        rings = np.arange(0.6 * width, max(radius, width), 0.6 * width)
    else:
        rings = np.sort(rng.uniform(0.15, 1, rng.integers(1, 4))) * radius
    decline, asymmetry, side = _log_uniform(rng, 0.2, 3), rng.uniform(0, 0.8), rng.uniform(0, 2 * np.pi)
    # Close enough to be smooth along a ring, as many as may be in all.
    numbers = np.clip(2 * np.pi * rings / (0.7 * width), 6, None)
    numbers = np.maximum(6, numbers * min(1, MOST / numbers.sum())).astype(int)
    angle = np.concatenate([2 * np.pi * np.arange(number) / number for number in numbers])
    ring = np.repeat(rings, numbers)
    flux = np.repeat(rings / numbers, numbers) * np.exp(-((ring / radius) ** 2) * decline)
    flux = flux * (1 + asymmetry * np.cos(angle - side))
    x, y = ring * np.cos(angle), ring * inclination * np.sin(angle)
    # Where Gaussians are farther apart, they are wider.
    major = np.maximum(width, np.repeat(2 * np.pi * rings / numbers, numbers) / 0.7)
    minor = np.minimum(major, width * max(inclination, 0.4))
    if rng.random() < 0.4:
        x, y = np.append(x, 0), np.append(y, 0)
        major, minor = (np.append(axis, 0.2 * finest) for axis in (major, minor))
        flux = np.append(flux, flux.sum() * _log_uniform(rng, 0.01, 0.5))
    # Along the ring on the sky.
    along = np.arctan2(inclination * np.cos(angle), -np.sin(angle))
    return _turned(rng, x, y, flux, major, minor, np.append(along, 0)[: len(x)])


def double(rng, size, finest):
    """A double radio source: a core, two jets that may bend, lobes, and hot spots at their ends.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    size : float
        From one end to the other.
    finest : float
        FWHM of a hot spot, at most, and scale of the distance of the Gaussians along the jets.

    Returns
    -------
    `~astro_ddpm_imager.simulate.Sources`
        Around (0, 0), with a total flux of 1.
    """
    # x, y, flux, major and minor axis
    parts = [[[0.0], [0.0], [_log_uniform(rng, 0.02, 1)], [0.1 * finest], [0.1 * finest]]]
    bend, number = rng.normal(0, 0.25), int(np.clip(1.2 * size / finest, 3, 24))
    for side in (1, -1):
        brightness = _log_uniform(rng, 0.3, 1.5)
        along = np.linspace(0.15, 1, number) * size / 2 * rng.uniform(0.7, 1.1)
        aside = bend * along**2 / size + rng.normal(0, 0.025 * size, number)
        width = np.clip(size * (0.06 + 0.15 * along / size * rng.uniform(0.3, 1.5)), 0.2 * finest, 5 * finest)
        flux = brightness * (along / size + 0.05) ** rng.uniform(-1, 2.5) / number
        parts.append([side * along, aside, flux, 1.3 * width, width])
        if rng.random() < 0.7:
            spot = finest * rng.uniform(0.05, 0.6)
            flux = brightness * _log_uniform(rng, 0.05, 0.6)
            parts.append([side * along[-1:], aside[-1:], [flux], [spot], [0.05 * finest]])
    x, y, flux, major, minor = np.concatenate(parts, axis=1)
    return _turned(rng, x, y, flux, major, np.minimum(major, minor), np.zeros(len(x)))


def clumps(rng, size, finest):
    """Clumps along a random walk: spirals, filaments, irregulars.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    size : float
        Largest extent of their centres.
    finest : float
        Scale of the FWHM of a clump.

    Returns
    -------
    `~astro_ddpm_imager.simulate.Sources`
        Around (0, 0), with a total flux of 1.
    """
    number = int(rng.integers(6, 46))
    heading = np.cumsum(rng.normal(0, rng.uniform(0.1, 0.9), number))
    walk = np.cumsum([np.cos(heading), np.sin(heading)], axis=1)
    walk = walk - (walk.max(1, keepdims=True) + walk.min(1, keepdims=True)) / 2
    x, y = walk * size / np.ptp(walk, axis=1).max()
    major = _log_uniform(rng, 0.2, 3, number) * finest
    flux = _log_uniform(rng, 0.05, 1, number) * major
    angle = rng.uniform(0, np.pi, number)
    return _turned(rng, x, y, flux, major, major * rng.uniform(0.3, 1, number), angle)


SHAPES = {"ellipse": ellipse, "disc": disc, "double": double, "clumps": clumps}


def highest_brightness(sources, beam):
    """Highest brightness at the centres of Gaussians, seen with a round beam.

    Parameters
    ----------
    sources : `~astro_ddpm_imager.simulate.Sources`
    beam : float
        FWHM, in the unit of the positions.

    Returns
    -------
    float
        Flux per beam.
    """
    variance = (beam / gaussian_sigma_to_fwhm) ** 2
    xx, xy, yy = sources.covariance
    xx, yy = xx + variance, yy + variance
    determinant = xx * yy - xy**2
    dx, dy = (np.subtract.outer(coordinate, coordinate) for coordinate in (sources.x, sources.y))
    exponent = (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / determinant
    return float((np.exp(-0.5 * exponent) * sources.flux * variance / np.sqrt(determinant)).sum(1).max())


def _log_uniform(rng, low, high, number=None):
    return np.exp(rng.uniform(np.log(low), np.log(high), number))


def _turned(rng, x, y, flux, major, minor, angle):
    """One source, turned by a random angle and mirrored or not."""
    turn, mirror = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
    y, angle = mirror * np.asarray(y), mirror * np.asarray(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    return _as_one(x * cos - y * sin, x * sin + y * cos, flux, major, minor, angle + turn)


def _as_one(x, y, flux, major, minor, angle):
    x, y, flux, major, minor, angle = (np.asarray(v, dtype=float) for v in (x, y, flux, major, minor, angle))
    return Sources(x, y, flux / flux.sum(), major, minor, angle % np.pi, np.zeros(len(x), dtype=int))
