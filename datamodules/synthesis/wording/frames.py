"""The frames of prompts and docstrings, by language.

A frame is independent of atoms; the text of a step comes from an atom's phrasings (`prompts.describe` combines them).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from datamodules.synthesis.wording.chinese_frames import CHINESE_FRAMES, chinese_frame
from datamodules.synthesis.wording.english_frames import ENGLISH_FRAMES, english_frame
from datamodules.synthesis.wording.frame import Frame

FRAMES: Mapping[str, tuple[Frame, ...]] = MappingProxyType({"en": ENGLISH_FRAMES, "zh": CHINESE_FRAMES})
"""By language, frames of prompts."""

DOCSTRINGS: Mapping[str, tuple[Frame, ...]] = MappingProxyType(
    {
        "en": (
            english_frame("sentences", "", ("{Clause}",) * 4, ". ", "."),
            english_frame("signature_first", "{typed}\n\n", ("{Clause}",) * 4, ". ", "."),
        ),
        "zh": (
            chinese_frame("ju_zi", "", ("{clause}",) * 4, "。", "。"),
            chinese_frame("xian_qian_ming", "{typed}\n\n", ("{clause}",) * 4, "。", "。"),
        ),
    }
)
"""By language, frames of docstrings, which describe a program without asking for it; no task's prompt uses these."""
