"""The report as the demo prints it."""

from __future__ import annotations

from tools.terminal import plain

REPORT = """\
### ❌ Fails: log&#95;loss is 0.29, ceiling 0.2

roc&#95;auc did not change: 0.99 &rarr; 0.98.\\
<sub>Head: commit 9270357</sub>

| Metric | Merge base | Verdict |
| --- | --: | --- |
| <code>roc&#95;auc</code> **primary** | 0.9918 | ⚪ within noise |
| a\\|b | 9 | 🔴 regressed |

<details><summary>Charts</summary>

```mermaid
line [1, 2]
```

</details>

<details><summary>What changed (1)</summary>

| Kind | Name |
| --- | --- |
| parameter | model.params.C |

</details>

<details><summary>Gates that pass</summary>

| Of | Rule |
| --- | --- |
| recall | floor |

</details>

<sub>The full report is `report.html` in the artifact `gitops-ml-report` of this run.</sub>
"""


def test_a_report_in_a_terminal() -> None:
    assert plain(REPORT).splitlines() == [
        "❌ Fails: log_loss is 0.29, ceiling 0.2",
        "",
        "roc_auc did not change: 0.99 → 0.98.",
        "Head: commit 9270357",
        "",
        "  Metric           Merge base  Verdict",
        "  --------------------------------------------",
        "  roc_auc primary      0.9918  ⚪ within noise",
        "  a|b                       9  🔴 regressed",
        "",
        "What changed (1)",
        "",
        "  Kind       Name",
        "  -------------------------",
        "  parameter  model.params.C",
    ]
