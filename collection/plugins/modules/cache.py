#!/usr/bin/python
# Copyright: the cachedoctor authors
# MIT licence; see LICENSE in the repository of cachedoctor
"""Repair the models of speech engines on a machine, by the cachedoctor that it has."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cache
short_description: Repair the models of local speech engines
description:
  - Runs C(cachedoctor fix) on the machine. What it finds broken is repaired, what a lock file, a
    size or a model asks for and is not there is fetched.
  - Everything is proven before it is put in place, and C(cachedoctor undo) takes it back.
version_added: 0.2.0
author:
  - The cachedoctor authors (@cachedoctor)
options:
  engines:
    description: Only these engines, or these codes of findings.
    type: list
    elements: str
    default: []
  size:
    description: The engine's first choice of this size is to be there; needs exactly one engine.
    type: str
  model:
    description: This model is to be there; needs exactly one engine.
    type: str
  lock:
    description: A lock file on the machine, whose models are to be there exactly as it says.
    type: path
  offline:
    description: Repair from local bytes only.
    type: bool
    default: false
  tool:
    description: The machine's C(cachedoctor), where it is not in the path.
    type: path
    default: cachedoctor
attributes:
  check_mode:
    description: It plans and changes nothing, as C(--dry-run).
    support: full
  diff_mode:
    description: It shows the plan.
    support: full
"""

EXAMPLES = r"""
- name: What is broken is repaired
  cachedoctor.models.cache:

- name: One model is there
  cachedoctor.models.cache:
    engines: [faster-whisper]
    size: small

- name: Exactly these bytes are there
  cachedoctor.models.cache:
    lock: ~/models.lock
"""

RETURN = r"""
plan:
  description: What was to be done, by C(cachedoctor schema fix).
  returned: always
  type: dict
run:
  description: What was done, by the same; its ids are for C(cachedoctor undo).
  returned: when something was done
  type: dict
"""

import json

from ansible.module_utils.basic import AnsibleModule


def ask(module, *more):
    """Run a fix and return its exit code and its answer."""
    given = module.params
    words = [given["tool"], "fix", *given["engines"], "--json", *more]
    for name in ("size", "model", "lock"):
        if given[name]:
            words += ["--" + name, given[name]]
    if given["offline"]:
        words.append("--offline")
    code, said, errors = module.run_command(words, environ_update={"NO_COLOR": "1"})
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        module.fail_json(msg="cachedoctor gave no answer", rc=code, stderr=errors[-2000:])
    if "error" in answer:
        module.fail_json(msg=answer["error"]["message"], rc=code, hint=answer["error"]["hint"])
    return code, answer


def lines(plan):
    """Return what a plan does, a line each."""
    found = ["{code} {path}: {message}\n".format(**each) for each in plan["cures"]]
    done = [(each["repair"] or {}).get("describe", "") + "\n" for each in plan["cures"]]
    for each in plan["finishes"]:
        found.append("an interrupted fix: " + each["id"] + "\n")
        done.append("finish the fix " + each["id"] + "\n")
    return {
        "before": "".join(found),
        "after": "".join(done),
        "before_header": "is",
        "after_header": "does",
    }


def main():
    """Plan, and unless it is only looked at, do exactly that."""
    module = AnsibleModule(
        argument_spec={
            "engines": {"type": "list", "elements": "str", "default": []},
            "size": {"type": "str"},
            "model": {"type": "str"},
            "lock": {"type": "path"},
            "offline": {"type": "bool", "default": False},
            "tool": {"type": "path", "default": "cachedoctor"},
        },
        mutually_exclusive=[("lock", "size", "model")],
        supports_check_mode=True,
    )
    code, answer = ask(module, "--dry-run")
    plan = answer["plan"]
    result = {"changed": bool(plan["cures"] or plan["unfinished"]), "plan": plan}
    if module._diff:
        result["diff"] = lines(plan)
    if result["changed"] and not module.check_mode:
        code, answer = ask(module, "--accept", plan["digest"])
        result["run"] = answer.get("run")
        if result["run"] is None:  # it was cured meanwhile
            result["changed"] = False
    if code:
        left = [each["message"] for each in plan["by_hand"]]
        module.fail_json(
            msg="not everything is repaired: " + "; ".join(left[:5]), rc=code, **result
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
