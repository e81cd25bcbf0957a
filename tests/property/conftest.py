"""The same examples in every run, and no clock: other tests have the cores, too."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")
