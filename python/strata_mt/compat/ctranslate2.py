"""What Argos Translate and LibreTranslate use of CTranslate2, with Strata behind it.

Put it in the place of CTranslate2 before they are imported::

    import sys
    import strata_mt.compat.ctranslate2
    sys.modules["ctranslate2"] = strata_mt.compat.ctranslate2

A package's ``model`` must be a folder of Strata's (``strata import PACKAGE DIR``).
"""

import os
from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Union

from .. import Sampling, StrataError
from .. import Translator as _Translator

__all__ = ["TranslationResult", "Translator", "get_cuda_device_count", "get_supported_compute_types"]


@dataclass(frozen=True)
class TranslationResult:
    """The translations of a sentence, the best first."""

    hypotheses: List[List[str]]
    scores: List[float] = field(default_factory=list)

    @property
    def tokens(self) -> List[str]:
        """The best translation."""
        return self.hypotheses[0]


def get_cuda_device_count() -> int:
    """Strata translates on the CPU."""
    return 0


def get_supported_compute_types(device: str, device_index: int = 0) -> List[str]:
    """Numbers that weights can be made of."""
    return ["float32", "int8"]


class Translator:
    """A model of one target language, or of which ``target_prefix`` begins with the tag of one."""

    def __init__(
        self,
        model_path: Union[str, "os.PathLike[str]"],
        device: str = "cpu",
        *,
        compute_type: str = "default",
        inter_threads: int = 1,
        intra_threads: int = 0,
    ) -> None:
        if device not in ("cpu", "auto"):
            raise ValueError(f"device `{device}`: Strata translates on the CPU; choose cpu or auto")
        if compute_type not in ("default", "auto", "float32", "int8", "int8_float32"):
            raise ValueError(f"compute_type `{compute_type}`: choose default, float32 or int8")
        precision = "int8" if compute_type.startswith("int8") else None
        threads = max(intra_threads, 1) * max(inter_threads, 1) if intra_threads or inter_threads > 1 else None
        self._translator = _Translator(model_path, precision, threads)
        self._targets = sorted({target for _, target in self._translator.directions})
        self._sources = sorted({source for source, _ in self._translator.directions})

    @property
    def device(self) -> str:
        return "cpu"

    def translate_batch(
        self,
        source: Sequence[Sequence[str]],
        target_prefix: Optional[Sequence[Optional[Sequence[str]]]] = None,
        *,
        max_batch_size: int = 0,
        batch_type: str = "examples",
        beam_size: int = 2,
        num_hypotheses: int = 1,
        length_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
        max_decoding_length: int = 256,
        min_decoding_length: int = 1,
        replace_unknowns: bool = False,
        return_scores: bool = False,
        sampling_topk: int = 1,
        sampling_temperature: float = 1.0,
    ) -> List[TranslationResult]:
        """Translates sentences that are cut into pieces.

        ``max_batch_size`` and ``batch_type`` change no translation and are left to the engine, which batches as it
        goes. With a ``sampling_topk`` other than 1, ``num_hypotheses`` translations are drawn, as CTranslate2 does with a
        ``beam_size`` of 1. ``replace_unknowns`` has nothing to do: the search never chooses the unknown piece.
        """
        if not source:
            return []
        prefixes = [list(prefix or ()) for prefix in target_prefix] if target_prefix else [[] for _ in source]
        if len(prefixes) != len(source):
            raise ValueError(f"{len(prefixes)} target prefixes for {len(source)} sentences; give one for each")
        results: List[Optional[TranslationResult]] = [None] * len(source)
        for target, places in self._by_target(prefixes).items():
            found = self._translator.translate_pieces(
                [list(source[i]) for i in places],
                target,
                self._sources[0] if len(self._sources) == 1 else None,
                prefixes=[prefixes[i] for i in places],
                beam=max(beam_size, num_hypotheses),
                nbest=num_hypotheses,
                length_penalty=length_penalty,
                no_repeat_ngram=no_repeat_ngram_size,
                max_length=max_decoding_length + 1,  # with the end mark
                min_length=min_decoding_length + 1,
                sampling=Sampling(sampling_temperature, sampling_topk) if sampling_topk != 1 else None,
            )
            for i, translations in zip(places, found):
                pieces = [[token.piece for token in one.tokens if token.piece != "</s>"] for one in translations]
                scores = [one.score for one in translations] if return_scores else []
                # As many as were asked for: those who call count on it.
                while len(pieces) < num_hypotheses:
                    pieces.append(pieces[-1])
                    scores.extend(scores[-1:])
                results[i] = TranslationResult(pieces, scores)
        return [result for result in results if result is not None]

    def _by_target(self, prefixes: List[List[str]]) -> "dict[str, List[int]]":
        """The places of the sentences of each target language; takes tags off the prefixes."""
        places: "dict[str, List[int]]" = {}
        for i, prefix in enumerate(prefixes):
            if len(self._targets) == 1:
                target = self._targets[0]
            else:
                tag = prefix.pop(0) if prefix else ""
                target = tag.strip("<>_").lstrip("2")
                if target not in self._targets:
                    raise StrataError(
                        f"target prefix `{tag}`: this model has several target languages; begin each prefix with the "
                        f"tag of one, such as <2{self._targets[0]}>"
                    )
            places.setdefault(target, []).append(i)
        return places
