"""What is said in two logs: this package's and CASA's."""

import logging

from ...log_records import handled_by

__all__ = ["tell", "tell_ignored", "warnings_in_casas_log"]

log = logging.getLogger("astro_ddpm_imager.compat.casa")


class _CasaLog(logging.Handler):
    """Posts records in CASA's log."""

    def emit(self, record):
        from casatasks import casalog

        casalog.post(record.getMessage(), "WARN", "astro_ddpm_imager")


def warnings_in_casas_log():
    """Let CASA's log have all that the package warns of, which scripts that configure no logging would not see.

    Returns
    -------
    context manager
    """
    return handled_by(_CasaLog(logging.WARNING))


def tell(message, level=logging.INFO):
    """Log a message, here and in CASA's log.

    Parameters
    ----------
    message : str
    level : int, optional
    """
    from casatasks import casalog

    log.log(level, "%s", message)
    if level < logging.WARNING:  # what is warned of gets there as all warnings do
        casalog.post(message, "INFO", "astro_ddpm_imager")


def tell_ignored(without):
    """Warn of parameters that have no effect.

    Parameters
    ----------
    without : list of str
        As of `~astro_ddpm_imager.compat.casa.parameters.ignored`.
    """
    if without:
        tell(f"these parameters have no counterpart here: {'; '.join(without)}", logging.WARNING)
