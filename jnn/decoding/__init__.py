"""Decoding: the strings of labels that frames say, by CTC or by a transducer, one or the likeliest of many.

    ctc_greedy_decode, ctc_beam_search                  of each frame's logits
    transducer_greedy_decode, transducer_beam_search    of frames, by what a prediction and a joint network say
    ngram_table, ngram_log_probs                        what a language has to say in a search

All run on the device, in shapes that are known before: a string has room for so many labels, and a search for so many
strings. Laws: what stands past a length changes nothing; with a beam for every string there could be, a search finds
the likeliest, and its score is minus the loss of `jnn.losses`, where forced alignment is too (`ctc_alignment`). Text
drawn from a language model is in `jnn.generation`.
"""

from jnn.decoding._ctc import ctc_beam_search, ctc_greedy_decode
from jnn.decoding._hypotheses import Hypotheses, Language
from jnn.decoding._ngram import ngram_log_probs, ngram_table
from jnn.decoding._transducer import transducer_greedy_decode
from jnn.decoding._transducer_beam import transducer_beam_search

__all__ = [
    "Hypotheses",
    "Language",
    "ctc_beam_search",
    "ctc_greedy_decode",
    "ngram_log_probs",
    "ngram_table",
    "transducer_beam_search",
    "transducer_greedy_decode",
]
