"""Multilingual machine translation with Mixture-of-Experts Transformers, on the CPU.

>>> from strata_mt import Translator
>>> translator = Translator("runs/quickstart")
>>> translator.translate("Click the icon.", "de")
"""

from itertools import islice
from typing import Iterable, Iterator, Optional

from . import _native
from ._native import (
    Route,
    RoutedText,
    Sampling,
    Score,
    ScoredTranslation,
    StrataError,
    Token,
    Translation,
    __version__,
    bleu,
    chrf,
    export,
    import_model,
)

__all__ = [
    "Route",
    "RoutedText",
    "Sampling",
    "Score",
    "ScoredTranslation",
    "StrataError",
    "Token",
    "Translation",
    "Translator",
    "__version__",
    "bleu",
    "chrf",
    "export",
    "import_model",
]


class Translator(_native.Translator):
    """A model folder, checkpoint, run or packed folder, ready to translate.

    ``precision`` is ``"f32"``, ``"bf16"`` or ``"int8"``; by default that of a packed folder, else f32. ``threads`` are those of one
    call; calls of several Python threads run side by side. ``workers`` are the batches that a call works on side by
    side; 0 leaves that to the engine. The checksums of the files are verified when a model is first used, and again
    when a file was touched; ``verify=False`` looks at their sizes alone.
    """

    def stream(
        self, texts: Iterable[str], target: str, source: Optional[str] = None, *, batch: int = 64
    ) -> Iterator[str]:
        """Translates texts as they come, in order, ``batch`` of them together.

        They may be the lines of an open file: the end of its line is no part of a text, nor of its translation.
        """
        if batch < 1:
            raise StrataError(f"batch = {batch}: choose 1 or more")
        texts = map(_without_line_end, texts)
        while chunk := list(islice(texts, batch)):
            yield from self.translate(chunk, target, source)


def _without_line_end(text: str) -> str:
    # What is no text is left for `translate` to refuse.
    if isinstance(text, str) and text.endswith("\n"):
        return text[:-1].removesuffix("\r")
    return text
