# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a model recognises: Presidio with a pipeline of spaCy, which is there as a package.

Nothing is fetched: neither a pipeline, which is loaded by its path, nor the list of domains for
which tldextract asks hosts unless it has no address of it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from redaction.rules import CARD, EMAIL, IBAN, PHONE, Span

LANGUAGE = "en"
# Presidio's entities, and the kinds of their tokens.
KINDS = {
    "PERSON": "PERSON",
    "LOCATION": "LOCATION",
    "ORGANIZATION": "ORG",
    "EMAIL_ADDRESS": EMAIL,
    "IBAN_CODE": IBAN,
    "CREDIT_CARD": CARD,
    "PHONE_NUMBER": PHONE,
}
# Of phone numbers without a word that says so Presidio is less sure.
_SURE = 0.4


class Unavailable(Exception):
    """No model recognises anything, and why."""


class Recogniser:
    """package: a Python package with a pipeline of spaCy. Raises Unavailable."""

    def __init__(self, package: str) -> None:
        os.environ["TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS"] = ""
        # They log texts at their lower levels.
        for name in ("presidio-analyzer", "presidio_analyzer", "spacy", "tldextract"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            import presidio_analyzer
            import presidio_analyzer.nlp_engine
            import tldextract.tldextract
        except ImportError as error:
            raise Unavailable("Presidio is not installed: %s" % error.name) from None
        # The one for everybody, which may have been made before.
        tldextract.tldextract.TLD_EXTRACTOR.suffix_list_urls = ()
        configuration = {
            "nlp_engine_name": "spacy",
            "models": [{"lang_code": LANGUAGE, "model_name": str(path_of(package))}],
            "ner_model_configuration": {
                "labels_to_ignore": [],
                "model_to_presidio_entity_mapping": {
                    **dict.fromkeys(("PERSON", "PER"), "PERSON"),
                    **dict.fromkeys(("LOC", "GPE", "FAC"), "LOCATION"),
                    "ORG": "ORGANIZATION",
                },
            },
        }
        provider = presidio_analyzer.nlp_engine.NlpEngineProvider(nlp_configuration=configuration)
        self._analyzer = presidio_analyzer.AnalyzerEngine(
            nlp_engine=provider.create_engine(), supported_languages=[LANGUAGE]
        )
        # The first analysis compiles, and proves that the model works.
        if not list(self.recognise("Alice Example lives in Berlin.")):
            raise Unavailable("%s recognises no name" % package)

    def recognise(self, text: str) -> Iterable[Span]:
        """What it finds in a text."""
        found = self._analyzer.analyze(
            text=text, language=LANGUAGE, entities=list(KINDS), score_threshold=_SURE
        )
        return [Span(one.start, one.end, KINDS[one.entity_type]) for one in found]


def path_of(package: str) -> Path:
    """The folder of a pipeline. Raises Unavailable."""
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or spec.origin is None:
        raise Unavailable("the package %s of spaCy's pipeline is not installed" % package)
    for config in sorted(Path(spec.origin).parent.glob("**/config.cfg")):
        return config.parent
    raise Unavailable("the package %s has no pipeline of spaCy" % package)
