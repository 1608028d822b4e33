#!/usr/bin/env python3
"""Plays cases, given as JSON, under the rules `ledger` of a model.py, and prints its answers. usage: play.py FOLDER < cases"""
import json, sys

sys.path.insert(0, sys.argv[1])
import model as m


def opt(text):
    return text or None


def steps_of(steps):
    for s in steps or []:
        what, at = s["What"], s["At"]
        if what in ("rec", "begin"):
            r = s["Rec"]
            flags = tuple((f, opt(v)) for f, v in r["Flags"])
            yield what, at, (r["Late"], opt(r["User"]), opt(r["Dev"]), opt(r["Group"]), r["Run"], r["Kind"], flags)
        elif what == "export":
            yield what, at, s["How"]
        elif what == "end":
            yield what, s["N"], s["On"]
        elif what == "redis":
            yield what, at, s["On"]
        else:
            yield what, at, s["N"]


def fact(f):
    (user, dev, group, kind, run, flags), values, day = f
    return f"{user or ''}|{dev or ''}|{group or ''}|{kind}|{run}|{','.join(flags)}={','.join(v or '' for v in values)}@{day}"


def text(e):
    ops = " ".join("{%s %s}" % (f, v or "") for f, v in e.ops.items())
    return f"{fact(e.fact) if e.fact else '$identify'} {e.user or ''}/{e.dev or ''} [{ops}] {e.t}"


out = []
for case in json.load(sys.stdin):
    answers, worlds = [], []

    class Told(m.Ledger):
        def decide(self, r, now):
            verdict, events, ticket = super().decide(r, now)
            answers.append("[" + " ".join(map(text, events)) + "]" if events else "repeat")
            return verdict, events, ticket

    m.RULES["ledger"] = Told
    init = m.World.__init__

    def remember(self, *a, **k):
        init(self, *a, **k)
        worlds.append(self)

    m.World.__init__ = remember
    bad = m.play("ledger", case["Kind"], list(steps_of(case["Steps"])), case["Set"])
    m.World.__init__ = init
    props = {f"{k}:{i}": {f: v or "" for f, v in p.items()} for (k, i), p in worlds[0].amp.props.items()}
    out.append({"Answers": answers, "Bad": bad, "Props": props})
json.dump(out, sys.stdout)
