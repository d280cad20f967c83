"""The site: `python -m sphinx -W -b html docs build/site`.

Sphinx with MyST and Furo, because all three are maintained; MkDocs and its Material theme are not.
"""

import sys
from pathlib import Path

from cachedoctor.version import VERSION

sys.path.insert(0, str(Path(__file__).parent))

project = "cachedoctor"
author = "the cachedoctor authors"
copyright = author
release = version = VERSION
extensions = ["myst_parser", "sphinx_copybutton", "_ext"]
exclude_patterns = ["figures", "man"]
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme = "furo"
html_title = f"cachedoctor {VERSION}"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
# Links to headings follow GitHub's rules, so that the pages work there, too.
myst_heading_anchors = 3
nitpicky = True
copybutton_prompt_text = r"\$ |> "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
highlight_language = "text"
smartquotes = False  # keep `--online` from becoming a dash
