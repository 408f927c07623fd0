"""What is said in two logs: this package's and CASA's."""

import logging

__all__ = ["tell", "tell_ignored"]

log = logging.getLogger("astro_ddpm_imager.compat.casa")


def tell(message, level=logging.INFO):
    """Log a message, here and in CASA's log.

    Parameters
    ----------
    message : str
    level : int, optional
    """
    from casatasks import casalog

    log.log(level, "%s", message)
    casalog.post(message, "WARN" if level >= logging.WARNING else "INFO", "astro_ddpm_imager")


def tell_ignored(without):
    """Warn of parameters that have no effect.

    Parameters
    ----------
    without : list of str
        As of `~astro_ddpm_imager.compat.casa.parameters.ignored`.
    """
    if without:
        tell(f"these parameters have no counterpart here: {'; '.join(without)}", logging.WARNING)
