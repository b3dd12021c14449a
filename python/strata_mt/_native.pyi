import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union, final, overload

import numpy as np
import numpy.typing as npt

__version__: str

_Path = Union[str, "os.PathLike[str]"]

class StrataError(Exception):
    """What a model, a file or an option does not allow, and what to do."""

@final
class Token:
    """A subword of a translation with its natural log-probability."""

    @property
    def piece(self) -> str: ...
    @property
    def score(self) -> float: ...

@final
class Translation:
    """A translation of a text."""

    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float:
        """Sum of the subwords' log-probabilities over ``subwords ** length_penalty``."""
    @property
    def tokens(self) -> List[Token]:
        """The subwords, the end mark last."""
    @property
    def alignment(self) -> List[Tuple[int, int]]:
        """Pairs of a source word and a word of the translation, from 0; with ``alignment=True``."""
    @property
    def warning(self) -> Optional[str]:
        """What the best translation seems to lack of the text."""

@final
class ScoredTranslation:
    """How probable a model finds a given translation."""

    @property
    def score(self) -> float:
        """Mean log-probability of the subwords, the end mark included."""
    @property
    def sum(self) -> float: ...
    @property
    def tokens(self) -> List[Token]: ...

@final
class Sampling:
    """Draw ``nbest`` translations of each sentence at random, whatever the ``beam``, instead of searching for the best."""

    def __new__(cls, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int = 1) -> "Sampling": ...
    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def top_p(self) -> float: ...
    @property
    def seed(self) -> int: ...

@final
class RoutedText:
    """A sentence's tokens with their ways through the expert blocks of the encoder or of the decoder."""

    @property
    def text(self) -> str: ...
    @property
    def pieces(self) -> List[str]: ...
    @property
    def layers(self) -> List[int]:
        """The layers with an expert block, from 0."""
    @property
    def experts(self) -> npt.NDArray[np.int32]:
        """``[tokens, blocks, strata, top_k]``: the chosen experts, best first; -1 where a token was not."""
    @property
    def weights(self) -> npt.NDArray[np.float32]:
        """``[tokens, blocks, strata, top_k]``: the gate's probability of each; 0 where a token was not."""
    @property
    def strata(self) -> npt.NDArray[np.int32]:
        """``[tokens, blocks]``: strata visited, the requested capacity."""

@final
class Route:
    """A sentence and its translation with the routing of every token."""

    @property
    def source(self) -> RoutedText: ...
    @property
    def target(self) -> RoutedText: ...

@final
class Score:
    """A corpus's score from 0 to 100, and the signature that makes it comparable."""

    @property
    def score(self) -> float: ...
    @property
    def signature(self) -> str: ...
    def __float__(self) -> float: ...

class Translator:
    def __new__(
        cls,
        path: _Path,
        precision: Optional[str] = None,
        threads: Optional[int] = None,
        workers: int = 0,
        *,
        verify: bool = True,
        whole_vocabulary: bool = False,
    ) -> "Translator": ...
    @overload
    def translate(self, text: str, target: str, source: Optional[str] = None) -> str: ...  # type: ignore[overload-overlap]
    @overload
    def translate(self, text: Sequence[str], target: str, source: Optional[str] = None) -> List[str]: ...
    def translate_full(
        self,
        texts: Sequence[str],
        target: str,
        source: Optional[str] = None,
        *,
        beam: int = 5,
        nbest: int = 1,
        length_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        coverage_penalty: float = 0.0,
        max_length: Optional[int] = None,
        min_length: int = 0,
        max_ratio: float = 2.0,
        max_extra: int = 20,
        prefixes: Optional[Sequence[str]] = None,
        glossary: Union[Mapping[str, str], _Path, None] = None,
        suppress: Sequence[str] = ...,
        sampling: Optional[Sampling] = None,
        vocabulary_map: Optional[_Path] = None,
        alignment: bool = False,
        whole_lines: bool = False,
    ) -> List[List[Translation]]:
        """For each text up to ``nbest`` translations, the best first. Options as those of ``strata translate``."""
    def translate_pieces(
        self,
        sentences: Sequence[Sequence[str]],
        target: str,
        source: Optional[str] = None,
        *,
        prefixes: Sequence[Sequence[str]] = ...,
        beam: int = 5,
        nbest: int = 1,
        length_penalty: float = 1.0,
        no_repeat_ngram: int = 0,
        max_length: Optional[int] = None,
        min_length: int = 0,
        sampling: Optional[Sampling] = None,
    ) -> List[List[Translation]]:
        """Translates sentences that are cut into the model's pieces already; they are taken as they are."""
    def translate_html(self, html: str, target: str, source: Optional[str] = None) -> str:
        """Translates HTML; its markup stays."""
    def score(
        self, sources: Sequence[str], targets: Sequence[str], target: str, source: Optional[str] = None
    ) -> List[ScoredTranslation]:
        """The score of each of ``targets`` as the translation of its source into the language ``target``."""
    def route(
        self, texts: Sequence[str], target: str, source: Optional[str] = None, *, beam: int = 5
    ) -> List[List[Route]]:
        """Translates each text's sentences, and gives the way of every token through the expert blocks."""
    def encode(self, text: str) -> List[int]:
        """The ids of a text's subwords, without tag and end mark."""
    def decode(self, ids: Sequence[int]) -> str: ...
    def pieces(self, ids: Sequence[int]) -> List[str]:
        """The pieces of subword ids, as the subword model prints them."""
    @property
    def languages(self) -> List[str]: ...
    @property
    def directions(self) -> List[Tuple[str, str]]:
        """Sources and targets that the model was trained on."""
    @property
    def config(self) -> Dict[str, Any]:
        """The model's configuration, as ``config.json`` has it."""

def bleu(
    hypotheses: Sequence[str],
    references: Union[Sequence[str], Sequence[Sequence[str]]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
) -> Score:
    """BLEU of a corpus as sacreBLEU computes it; ``references`` are one list, or several lists."""

def chrf(
    hypotheses: Sequence[str],
    references: Union[Sequence[str], Sequence[Sequence[str]]],
    *,
    word_order: int = 0,
    lowercase: bool = False,
) -> Score:
    """chrF2 of a corpus as sacreBLEU computes it; chrF2++ with ``word_order=2``."""

def export(
    model: _Path,
    output: _Path,
    *,
    format: str = "packed",
    precision: str = "f32",
    vocabulary_map: Optional[_Path] = None,
) -> "os.PathLike[str]":
    """Writes a model as a ``packed`` folder, for ``ctranslate2`` or for ``huggingface`` (transformers) into a new folder,
    and returns that. Of a vocabulary map, a packed folder gets the languages whose held-out text it covers to 99.9 %."""

def import_model(
    model: _Path, output: _Path, *, source: Optional[str] = None, target: Optional[str] = None
) -> Dict[str, Any]:
    """Turns a model of another program into a new model folder; returns what ``strata import --json`` prints."""
