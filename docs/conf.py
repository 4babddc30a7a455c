"""How the pages of this folder become a site: `make site`, then open .site/index.html."""

project = "cookiecutter-gitops-ml"
author = "the authors of cookiecutter-gitops-ml"
html_title = project
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
# Links between pages go to headings as GitHub names them, so that the same text works in both places.
myst_heading_anchors = 4
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
nitpicky = True
