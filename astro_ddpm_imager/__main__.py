"""``python -m astro_ddpm_imager`` is the command ``astro-ddpm-imager``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
