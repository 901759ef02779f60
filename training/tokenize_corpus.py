"""Trains the byte-level BPE tokenizer on the training split: tokenize_corpus.py CORPUS. Then CORPUS/tokenizer holds the
tokenizer's files, CORPUS/train.npy and CORPUS/held_out.npy the tokens of the works, as uint16.

Every digit is a token of its own, so that a number of five digits has five tokens wherever it stands.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCABULARY = 4096
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "add_bos_token": True,
    "add_eos_token": False,
    "clean_up_tokenization_spaces": False,
    "model_max_length": 32768,
    "chat_template": CHAT_TEMPLATE,
}


def train(texts):
    tokenizer = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[bos])
    return tokenizer


def main():
    corpus = Path(sys.argv[1])
    texts = {"train": [], "held_out": []}
    with open(corpus / "works.jsonl", encoding="utf-8") as file:
        for work in map(json.loads, file):
            texts[work["split"]].append(work["text"])
    tokenizer = train(texts["train"])
    folder = corpus / "tokenizer"
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG, indent=2) + "\n", encoding="utf-8")
    for split, works in texts.items():
        encoded = tokenizer.encode_batch(works, add_special_tokens=False)
        tokens = np.concatenate([np.asarray(work.ids, dtype=np.uint16) for work in encoded])
        np.save(corpus / f"{split}.npy", tokens)
        print(f"{split}: {len(works)} works, {len(tokens):,} tokens")


if __name__ == "__main__":
    main()
