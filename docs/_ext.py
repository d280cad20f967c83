"""A small Sphinx extension: a code in a sentence links to its page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from cachedoctor import rules

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_CODE = re.compile(r"\bCD\d{3}\b")
_PAGE = "rules"
_NOT_THERE = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.raw)


class CodesLead(SphinxPostTransform):
    """Link each code in running text, but not in headings, code and other links."""

    default_priority = 800

    def run(self, **_: object) -> None:
        """Walk the page's text."""
        known = {rule.code: f"{rule.code.lower()}-{rule.slug}" for rule in rules.every()}
        page = self.app.builder.get_relative_uri(self.env.docname, _PAGE)
        for text in list(self.document.findall(nodes.Text)):
            if self.env.docname == _PAGE and isinstance(text.parent.parent, nodes.section):
                continue
            found = [match for match in _CODE.finditer(text.astext()) if match[0] in known]
            above = text.parent
            while above is not None and not isinstance(above, _NOT_THERE):
                above = above.parent
            if above is not None or not found:
                continue
            said, made, at = text.astext(), [], 0
            for match in found:
                made.append(nodes.Text(said[at : match.start()]))
                link = nodes.reference("", "", internal=True, refuri=f"{page}#{known[match[0]]}")
                link += nodes.Text(match[0])
                made.append(link)
                at = match.end()
            text.parent.replace(text, [*made, nodes.Text(said[at:])])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_post_transform(CodesLead)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
