"""How Sphinx builds the site: `make docs`. The pages are Markdown that GitHub shows too."""

project = "reidgen"
copyright = "the reidgen authors, MIT licence"
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "reidgen"
html_static_path = ["style"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False
pygments_style = "friendly"
