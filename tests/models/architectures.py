"""The models whose graphs are kept, with their configurations pinned: nothing is downloaded."""

from __future__ import annotations

from tests.models import audio, text, vision

EXPORTS = (*vision.EXPORTS, *text.EXPORTS, *audio.EXPORTS)
