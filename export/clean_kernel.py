"""CLEAN of many fields in one kernel, for CUDA: a field for each block, its residual in registers."""

import triton
import triton.language as tl

WARPS = 16


@triton.jit
def _clean(dirty, psf, which, inside, most, residual, components, threshold, gain, divergence, n: tl.constexpr):
    """As `astro_ddpm_imager.observation.clean.clean`, of a periodic field."""
    field, pixel = tl.program_id(0), tl.arange(0, n * n)
    row, column = pixel // n, pixel % n
    start = field * n * n
    left = tl.load(dirty + start + pixel)
    allowed = tl.load(inside + start + pixel) != 0
    own_psf = psf + tl.load(which + field) * n * n
    iterations = tl.load(most + field)
    height, peak = tl.max(tl.where(allowed, left, 0.0), 0, return_indices=True)
    lowest, done = height, 0
    while (done < iterations) & (height > threshold) & (height <= divergence * lowest):
        flux = gain * height
        tl.atomic_add(components + start + peak, flux)
        # The modulus of what may be negative, of a power of 2.
        shifted = ((row - peak // n) & (n - 1)) * n + ((column - peak % n) & (n - 1))
        left -= flux * tl.load(own_psf + shifted)
        height, peak = tl.max(tl.where(allowed, left, 0.0), 0, return_indices=True)
        lowest, done = tl.minimum(lowest, height), done + 1
    tl.store(residual + start + pixel, left)


def clean(dirty, psf, which, inside, most, threshold, gain, divergence):
    """CLEAN periodic fields.

    Parameters
    ----------
    dirty : 3D tensor of float32, shape (fields, n, n)
        On a CUDA device, like all of the tensors; n is a power of 2.
    psf : 3D tensor of float32, shape (instruments, n, n)
        Peak at pixel (0, 0).
    which : 1D tensor of int64, shape (fields,)
        Of the instruments.
    inside : 3D tensor of bool, shape (fields, n, n)
        Where components may lie.
    most : 1D tensor of int64, shape (fields,)
        Largest number of components.
    threshold, gain, divergence : float
        See `astro_ddpm_imager.observation.clean`.

    Returns
    -------
    components, residual : 3D tensors of float32, shape (fields, n, n)
    """
    fields, n, _ = dirty.shape
    if n & (n - 1):
        raise ValueError(f"dirty: is {n} pixels wide, and the kernel needs a power of 2")
    components, residual = dirty.new_zeros(dirty.shape), dirty.new_empty(dirty.shape)
    _clean[(fields,)](
        dirty.contiguous(), psf, which, inside.to(dirty.dtype).contiguous(), most, residual, components,
        threshold, gain, divergence, n=n, num_warps=WARPS,
    )  # fmt: skip
    return components, residual
