"""``python -m astro_ddpm_imager`` is the command ``astro-ddpm-imager``."""

import sys

from .cli import main

sys.exit(main())
