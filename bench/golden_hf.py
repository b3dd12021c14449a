#!/usr/bin/env python3
"""Makes the tiny random models of other architectures in crates/runtime/tests/golden, with what transformers computes.

usage: golden_hf.py FOLDER

Needs torch, transformers 4.57.6 (later releases compute NLLB-MoE wrongly) and sentencepiece. Each model is a folder as
those that people download: config.json, generation_config.json, weights, subword models. Beside them lies

  golden.json           sentences with their ids, forced targets, and the outputs of beam search
  golden.safetensors    logits.N [target, vocabulary], f32: those of the forced targets of the first sentences

Ids are those of transformers; `suppressed` ones are never chosen by the searches. Equal versions of the packages give equal files.
"""

import json
import sys
from pathlib import Path

import sentencepiece as spm
import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbMoeConfig,
    NllbMoeForConditionalGeneration,
    NllbTokenizer,
)

SENTENCES = ["The house is small.", "We read a book in the garden.", "Open the file, please!", "Small things matter"]
TARGETS = ["Das Haus ist klein.", "Wir lesen ein Buch im Garten.", "Bitte die Datei öffnen!", "Kleines zählt"]
TEXT = """The house is small. We read a book in the garden. Open the file, please! Small things matter.
Das Haus ist klein. Wir lesen ein Buch im Garten. Bitte die Datei öffnen! Kleines zählt.
A garden behind the house, a file about the book. Ein Garten hinter dem Haus, eine Datei über das Buch.""".splitlines()
BEAMS = [dict(num_beams=1), dict(num_beams=4, num_return_sequences=4), dict(num_beams=3, length_penalty=0.0)]
NEW_TOKENS = 12
LOGITS = 2
REPEATED = ("added_tokens_decoder", "additional_special_tokens")


def pieces(path: Path, size: int, kind: str) -> None:
    """Trains a SentencePiece model without control symbols of its own but <unk>, <s>, </s>."""
    with path.open("wb") as file:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT), model_writer=file, vocab_size=size, model_type=kind, character_coverage=1.0,
            hard_vocab_limit=False, minloglevel=2, num_threads=1, normalization_rule_name="identity",
        )


def names(path: Path) -> list[str]:
    model = spm.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(i) for i in range(model.get_piece_size())]


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Weights large enough that translations depend on all of them and some end; norms around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_positions" in name:
                continue
            norm = "norm" in name and name.endswith("weight")
            table = "shared" in name or "embed_tokens" in name or "lm_head" in name
            scale = 0.2 if weight.dim() == 1 else (0.6 if table else 4.0) * weight.shape[-1] ** -0.5
            weight.copy_((1.0 if norm else 0.0) + scale * torch.randn(weight.shape, generator=generator))
            if table:
                weight[model.config.eos_token_id] *= 6.0


def golden(folder: Path, model, tokenizer, directions, encode_target, words, forced=None, shard=None) -> None:
    """Saves the model with what it computes. `directions`: (source, target) languages, or (None, None); `words`: the ids
    that translations may have."""
    model.eval()
    model.save_pretrained(folder, safe_serialization=True, **({"max_shard_size": shard} if shard else {}))
    tokenizer.save_pretrained(folder)
    cases, logits = [], {}
    suppressed = [i for i in range(model.config.vocab_size) if i not in words and i != model.config.eos_token_id]
    for number, (text, target) in enumerate(zip(SENTENCES, TARGETS)):
        source, into = directions[number % len(directions)]
        if source:
            tokenizer.src_lang, tokenizer.tgt_lang = source, into
        ids = tokenizer(text).input_ids
        prompt = [model.config.decoder_start_token_id] + ([forced(into)] if forced else [])
        wanted = encode_target(tokenizer, target)
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([prompt + wanted])).logits[0]
        if number < LOGITS:
            logits[f"logits.{number}"] = out[len(prompt) - 1 :].contiguous().float()
        beams = []
        for options in BEAMS:
            # A forced_bos_token_id instead would count the tag in the length that scores are divided by.
            found = model.generate(
                torch.tensor([ids]), decoder_input_ids=torch.tensor([prompt]), max_new_tokens=NEW_TOKENS, early_stopping=options["num_beams"] > 1,
                output_scores=True, return_dict_in_generate=True, do_sample=False, suppress_tokens=suppressed,
                **options,
            )
            rows = [row[len(prompt) :] for row in found.sequences.tolist()]
            scores = found.get("sequences_scores")
            beams.append(dict(
                options=options,
                ids=[cut(row, model.config.eos_token_id, model.config.pad_token_id) for row in rows],
                scores=None if scores is None else [round(score, 6) for score in scores.tolist()],
                texts=[tokenizer.decode(row, skip_special_tokens=True) for row in rows],
            ))
        cases.append(dict(text=text, source=source, target=into, ids=ids, prompt=prompt, wanted=wanted, beams=beams))
    save_file(logits, folder / "golden.safetensors")
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    about = json.dumps(dict(transformers=transformers.__version__, new_tokens=NEW_TOKENS, suppressed=suppressed))[1:-1]
    (folder / "golden.json").write_text(f'{{{about}, "cases": [\n{lines}\n]}}\n', encoding="utf8")
    # Only added_tokens.json says where NLLB's languages begin.
    (folder / "tokenizer.json").unlink(missing_ok=True)
    # What repeats special_tokens_map.json, and is most of the file.
    path = folder / "tokenizer_config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key not in REPEATED}
    path.write_text(json.dumps(config, indent=2) + "\n")


def cut(row: list[int], end: int, pad: int) -> list[int]:
    """Without the padding behind the end mark."""
    return row[: row.index(end) + 1] if end in row else row


def m2m100(folder: Path) -> None:
    folder.mkdir(parents=True)
    pieces(folder / "sentencepiece.bpe.model", 70, "bpe")
    words = [name for name in names(folder / "sentencepiece.bpe.model") if name not in ("<unk>", "<s>", "</s>")]
    vocabulary = {name: i for i, name in enumerate(["<s>", "<pad>", "</s>", "<unk>"] + words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf8")
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    config = M2M100Config(
        vocab_size=len(vocabulary) + 100 + 8, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24,
        decoder_ffn_dim=40, encoder_attention_heads=2, decoder_attention_heads=4, max_position_embeddings=48,
    )
    model = M2M100ForConditionalGeneration(config)
    randomize(model, 12)
    directions = [("en", "de"), ("de", "fr"), ("en", "zh")]
    golden(folder, model, tokenizer, directions, target_words, range(4, len(vocabulary)), tokenizer.get_lang_id)


def target_words(tokenizer, text: str) -> list[int]:
    """The ids of a target without tags and end mark."""
    return tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))


def nllb_tokenizer(folder: Path) -> NllbTokenizer:
    folder.mkdir(parents=True)
    pieces(folder / "sentencepiece.bpe.model", 64, "unigram")
    return NllbTokenizer(str(folder / "sentencepiece.bpe.model"), src_lang="eng_Latn", tgt_lang="deu_Latn")


def nllb_words(tokenizer: NllbTokenizer) -> range:
    """Behind <s>, <pad>, </s>, <unk>, and in front of the languages."""
    return range(4, tokenizer.convert_tokens_to_ids("ace_Arab"))


NLLB_DIRECTIONS = [("eng_Latn", "deu_Latn"), ("deu_Latn", "zho_Hant"), ("eng_Latn", "fra_Latn")]


def nllb(folder: Path) -> None:
    tokenizer = nllb_tokenizer(folder)
    config = M2M100Config(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=48,
        tokenizer_class="NllbTokenizer",
    )
    model = M2M100ForConditionalGeneration(config)
    randomize(model, 6)
    words = nllb_words(tokenizer)
    golden(folder, model, tokenizer, NLLB_DIRECTIONS, target_words, words, tokenizer.convert_tokens_to_ids)


def nllb_moe(folder: Path, bias: bool) -> None:
    tokenizer = nllb_tokenizer(folder)
    config = NllbMoeConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=48,
        encoder_sparse_step=2, decoder_sparse_step=2, num_experts=4, router_bias=bias, moe_token_dropout=0.2,
        moe_eval_capacity_token_fraction=1.0, expert_capacity=64,
    )
    model = NllbMoeForConditionalGeneration(config)
    randomize(model, 2 if bias else 18)
    shard = None if bias else "30KB"
    words = nllb_words(tokenizer)
    golden(folder, model, tokenizer, NLLB_DIRECTIONS, target_words, words, tokenizer.convert_tokens_to_ids, shard)


def marian(folder: Path, tied: bool) -> None:
    folder.mkdir(parents=True)
    pieces(folder / "source.spm", 56, "unigram")
    pieces(folder / "target.spm", 60, "unigram")
    control = ("<unk>", "<s>", "</s>")
    both = [name for path in ("source.spm", "target.spm") for name in names(folder / path) if name not in control]
    tags = [">>deu<<", ">>fra<<"] if tied else []
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys(["</s>", "<unk>"] + both + tags + ["<pad>"]))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf8")
    tokenizer = MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"))
    pad = vocabulary["<pad>"]
    config = MarianConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=48,
        activation_function="swish" if tied else "relu", scale_embedding=True, pad_token_id=pad, eos_token_id=0,
        decoder_start_token_id=pad, forced_eos_token_id=None, share_encoder_decoder_embeddings=tied,
        tie_word_embeddings=tied, decoder_vocab_size=len(vocabulary), normalize_before=False,
    )
    model = MarianMTModel(config)
    randomize(model, 5 if tied else 10)
    generator = torch.Generator().manual_seed(6)
    with torch.no_grad():
        model.final_logits_bias.copy_(0.3 * torch.randn(model.final_logits_bias.shape, generator=generator))
        for table in [model.get_encoder().embed_tokens, model.get_decoder().embed_tokens]:
            table.weight[pad] = 0.0
    model.generation_config.bad_words_ids = [[pad]]
    model.generation_config.forced_eos_token_id = None
    if tied:
        global SENTENCES
        plain, SENTENCES = SENTENCES, [f"{tag} {text}" for tag, text in zip(tags * 2, SENTENCES)]
    golden(folder, model, tokenizer, [(None, None)], marian_target, range(2, 2 + len(dict.fromkeys(both))))
    if tied:
        SENTENCES = plain


def marian_target(tokenizer, text: str) -> list[int]:
    return tokenizer(text_target=text).input_ids[:-1]


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    assert transformers.__version__ == "4.57.6", f"transformers {transformers.__version__} is not 4.57.6"
    m2m100(folder / "m2m100")
    nllb(folder / "nllb")
    nllb_moe(folder / "nllb-moe", bias=False)
    nllb_moe(folder / "nllb-moe-bias", bias=True)
    marian(folder / "marian", tied=True)
    marian(folder / "marian-apart", tied=False)


main()
