"""``python -m bench.storm``: the driver, once Django stands."""

import django

django.setup()

from bench.storm.driver import main  # noqa: E402  # needs the models

main()
