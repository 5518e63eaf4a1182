"""Compares what docs/alerts.yml and docs/grafana-dashboard.json ask for with what an edge's /metrics says.

Usage: check-alerts.py METRICS-FILE RULES-FILE. Writes the dashboard's expressions as rules, for promtool to read."""
import itertools
import json
import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"
# What Prometheus itself adds: a metric, and the labels of a target.
ADDED_METRICS, ADDED_LABELS = {"up"}, {"job", "instance"}
WORDS = {"and", "or", "unless", "bool", "group_left", "group_right"}
COLUMNS = 24


def exposed(text: str) -> dict[str, set[str]]:
    """Every metric that /metrics names, and the labels of its samples; a metric without samples has none."""
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        for ending in ["_bucket", "_sum", "_count"] if kind == "histogram" else [""]:
            found[name + ending] = set()
    for name, labels in re.findall(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$", text, re.M):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', labels))
    return found


def named(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels that it is chosen by."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    bare = re.sub(r"\[[^\]]*\]|\boffset\s+\w+", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    names = re.finditer(r"\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\{([^}]*)\})?", re.sub(r"\b\d[\w.]*", "", bare))
    return [(name[1], set(re.findall(r"(\w+)\s*[=!]", name[2] or ""))) for name in names if name[1] not in WORDS]


def rule_expressions(text: str) -> list[tuple[str, str]]:
    """Each alert of a rules file, and its expression."""
    rules = re.findall(r"^ +- alert: (\w+)\n( +)expr: (?:\|\n((?:\2 +.*\n)+)|(.+)\n)", text, re.M)
    return [(name, block or line) for name, _, block, line in rules]


def panels_of(dashboard: dict) -> list[dict]:
    """All panels, also those that lie in a closed row."""
    return [panel for top in dashboard["panels"] for panel in [top, *top.get("panels", [])]]


def panel_expressions(dashboard: dict) -> list[tuple[str, str]]:
    """Each panel's place, and an expression of it; and what the variables ask for."""
    panels = [(f"panel {panel['id']} `{panel['title']}`", target["expr"])
              for panel in panels_of(dashboard) for target in panel.get("targets", [])]
    variables = [(f"variable `{variable['name']}`", re.sub(r"^label_values\((.*), \w+\)$", r"\1", variable["definition"]))
                 for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return panels + variables


def wrong_names(places: list[tuple[str, str]], metrics: dict[str, set[str]]) -> list[str]:
    """What is asked for, and not there."""
    wrong = []
    for place, expression in places:
        found = named(expression)
        wrong += [] if found else [f"{place}: no metric found in `{expression}`"]
        for name, labels in found:
            if name not in metrics and name not in ADDED_METRICS:
                wrong.append(f"{place}: /metrics has no `{name}`")
            elif metrics.get(name):
                wrong += [f"{place}: `{name}` has no label `{label}`" for label in sorted(labels - metrics[name] - ADDED_LABELS)]
    return wrong


def overlap(one: dict, other: dict) -> bool:
    """Whether two panels share a cell of the grid."""
    a, b = one["gridPos"], other["gridPos"]
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def wrong_layout(dashboard: dict) -> list[str]:
    """Panels that share an id or a place, or lack what a reader needs; ids of one Grafana, which another does not know."""
    panels = panels_of(dashboard)
    wrong = ["the dashboard has an `id`"] if dashboard.get("id") is not None else []
    ids = [panel["id"] for panel in panels]
    wrong += [f"two panels have the id {number}" for number in sorted({i for i in ids if ids.count(i) > 1})]
    for one, other in itertools.combinations(dashboard["panels"], 2):
        wrong += [f"`{one['title']}` and `{other['title']}` overlap"] if overlap(one, other) else []
    for panel in panels:
        wrong += [f"`{panel['title']}` is too wide"] if panel["gridPos"]["x"] + panel["gridPos"]["w"] > COLUMNS else []
        if panel["type"] != "row":
            wrong += [] if panel.get("description") else [f"`{panel['title']}` has no description"]
            wrong += [] if panel["fieldConfig"]["defaults"].get("unit") else [f"`{panel['title']}` has no unit"]
    uids = set(re.findall(r'"uid": "([^"]*)"', json.dumps(dashboard)))
    return wrong + [f"`{uid}` is a data source of one Grafana" for uid in sorted(uids - {"${datasource}", dashboard["uid"]})]


def wrong_alerts(alerts: list[tuple[str, str]], tests: str, page: str) -> list[str]:
    """Alerts that are not seen to fire, not seen to be quiet, or not explained."""
    wrong = []
    for name, _ in alerts:
        quiet = f"alertname: {name}, exp_alerts: []" in tests
        fires = re.search(rf"alertname: {name}\n +exp_alerts:\n +- exp_labels:", tests)
        wrong += [] if quiet and fires else [f"{name}: docs/alerts.test.yml does not show that it fires, and that it does not"]
        wrong += [] if f"`{name}`" in page else [f"{name}: docs/operations.md does not explain it"]
    return wrong


def as_rules(places: list[tuple[str, str]]) -> str:
    """Expressions of a dashboard as recording rules, with spans where Grafana puts its own."""
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, (place, expression) in enumerate(places):
        expression = expression.replace("$__rate_interval", "5m").replace("$__range", "6h")
        lines += [f"      # {place}", f"      - record: expression:{number}", f"        expr: {json.dumps(expression)}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    metrics_file, rules_file = map(pathlib.Path, sys.argv[1:])
    metrics = exposed(metrics_file.read_text())
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    rules = (DOCS / "alerts.yml").read_text()
    alerts, places = rule_expressions(rules), panel_expressions(dashboard)
    wrong = [] if len(alerts) == rules.count("alert:") else ["docs/alerts.yml: an expression was not understood"]
    wrong += wrong_names(alerts + places, metrics) + wrong_layout(dashboard)
    wrong += wrong_alerts(alerts, (DOCS / "alerts.test.yml").read_text(), (DOCS / "operations.md").read_text())
    rules_file.write_text(as_rules(places))
    if wrong:
        sys.exit("\n".join(wrong))
    shown = {name for _, expression in places for name, _ in named(expression)}
    print(f"{len(alerts)} alerts and {len(places)} expressions of the dashboard name only metrics that are there")
    print("not on the dashboard:", ", ".join(sorted(set(metrics) - shown)) or "nothing")


main()
