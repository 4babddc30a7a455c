"""How accessible a page is: axe-core's judgement of it, and what somebody meets who has a keyboard only."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.browser_session import Session
from tests.tools.required import need

# WCAG 2.1 at level AA, and what axe-core counts as good practice beside it.
_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")
# `incomplete` is what axe-core could not decide by itself.
_JUDGE = """
axe.run(document, {runOnly: {type: "tag", values: %s}}).then((found) => JSON.stringify(
  ["violations", "incomplete"].map((kind) => found[kind].flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}): ${node.target.join(" ")}: ${node.failureSummary.replace(/\\s+/g, " ")}`
  )))
))
"""
# What can be reached by Tab, in the order of the document, as long as it can be seen.
_INTERACTIVE = """
[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
  .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility({visibilityProperty: true}))
"""
_PLACE = f"(() => {{const all = {_INTERACTIVE}; return all.indexOf(document.activeElement)}})()"
# How the element with the focus is drawn; without a focus it has to be drawn in another way.
_LOOK = """
(() => {
  const drawn = (each) => {const s = getComputedStyle(each);
    return JSON.stringify([s.outlineStyle === "none" ? "" : s.outline, s.boxShadow, s.borderColor, s.backgroundColor])};
  const focused = document.activeElement;
  const before = drawn(focused);
  focused.blur();
  const after = drawn(focused);
  focused.focus({preventScroll: true, focusVisible: true});
  return before !== after;
})()
"""
# Text that is drawn in a picture: axe-core looks at `color`, which does not paint it.
_DRAWN = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((each) => each / 255)
      .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (each) => {
    for (let one = each; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("svg text")].flatMap((each) => {
    const [low, high] = [light(getComputedStyle(each).fill), light(behind(each))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    return ratio < 4.5 ? [`drawn text (serious): ${each.textContent}: contrast of ${ratio.toFixed(2)}`] : [];
  });
})()
"""

# Of a window: a desk and a phone, each in both schemes of colours.
VIEWS = tuple((size, scheme) for size in ((1200, 900), (390, 844)) for scheme in ("light", "dark"))


def assert_accessible(session: Session) -> None:
    """The page that is open breaks no rule in any view, and the keyboard alone is enough for it."""
    for size, scheme in VIEWS:
        session.show(*size, scheme)
        violations, incomplete = judged(session)
        assert violations == [], (size, scheme)
        # What is drawn, or lies outside of a table's part that is in sight, has no background that axe-core sees.
        assert {one.partition(" ")[0] for one in incomplete} <= {"color-contrast"}, incomplete
        assert without_keyboard(session) == [], (size, scheme)


def judged(session: Session) -> tuple[list[str], list[str]]:
    """What in the page breaks a rule of axe-core, and what axe-core leaves to a person."""
    source = need("axe").read_text(encoding="utf-8")
    session.tell("Runtime.evaluate", expression=source)
    # What moves or fades in has half a contrast on its way.
    session.until("document.getAnimations().every((each) => each.playState !== 'running')")
    found = awaited(session, _JUDGE % json.dumps(_TAGS))
    violations, incomplete = json.loads(found)
    return violations + session.value(_DRAWN), incomplete


def awaited(session: Session, expression: str) -> Any:
    """What the promise of a JavaScript expression gives."""
    done = session.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
    if "exceptionDetails" in done:
        raise RuntimeError(str(done["exceptionDetails"]))
    return done["result"]["value"]


def without_keyboard(session: Session) -> list[str]:
    """What the keys alone do not reach, or reach without showing it; empty when all is well."""
    session.value("document.activeElement.blur()")
    count = session.value(f"{_INTERACTIVE}.length")
    names = session.value(f"{_INTERACTIVE}.map((each) => each.outerHTML.slice(0, 120))")
    reached: set[int] = set()
    wrong = []
    # A field of a date and time is one element, and a stop for each of its parts.
    for _ in range(3 * count + 30):
        if len(reached) == count:
            break
        session.press("Tab")
        place = session.value(_PLACE)
        if place < 0 or place in reached:
            continue  # between the page's end and its start are the browser's own parts
        if not session.value(_LOOK):
            wrong.append(f"no focus to be seen: {names[place]}")
        reached.add(place)
    return wrong + [f"out of reach: {names[place]}" for place in range(count) if place not in reached]
