"""What the network is told."""

import numpy as np

from astro_ddpm_imager.diffusion.conditioning import CONDITIONS, condition

from ..conftest import ring_psf


def test_conditions_are_blank_where_the_image_is():
    n, psf = 32, ring_psf(32)
    pb = np.ones((n, n))
    pb[:, :8] = 0
    images = condition(np.where(pb > 0, 20 * psf[16 : 16 + n, 20 : 20 + n], 0), psf, pb, 2.2, 4, 0.2)
    assert images.shape == (len(CONDITIONS), n, n) and images.dtype == np.float32
    assert not images[:, :, :8].any() and images[2].max() > 10
