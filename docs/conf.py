"""How the documentation is built: Sphinx, MyST and furo, with every warning an error."""

import re
from importlib.metadata import version as version_of

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "agentic"
author = "The agentic developers"
project_copyright = "2026, The agentic developers"
release = version_of("agentic-decisioning")
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "literal"  # single backticks mean code, in docstrings as in Markdown

html_theme = "furo"
html_title = f"agentic {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme_options = {
    "light_css_variables": {"code-font-size": "78%"},
    "dark_css_variables": {"code-font-size": "78%"},
}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of attrs classes are described once, in `Attributes:`
napoleon_custom_sections = [("Source", "notes_style")]

nitpicky = True
# The build asks nothing of the network, so what belongs to Python, numpy or attrs is named but not linked.
# Names of ours are checked.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!agentic\b)[\w.]+\..*"),
    # Bare names stand in signatures of attrs classes whose hints autodoc cannot resolve.
    (r"py:class", r"timedelta|NDArray|F64|I64|U64|Bools|By|Progress"),
]
nitpick_ignore = [
    ("py:class", "Parts"),  # the keyword arguments of Agent, which stand there
    ("py:class", "agentic._database.Participant"),  # a store or a log: read the file
    ("py:class", "agentic._folding.Books"),  # what is inside an agent: read the file
    ("py:class", "agentic._flow.Plan"),  # what is inside an agent: read the file
    ("py:class", "agentic._offpolicy._slates.Layout"),  # how slates lie in rows: read the file
    ("py:class", "agentic._deciding.Desk"),  # in the signature of Oversight, which nobody calls
    ("py:class", "agentic._archive.Archive"),  # likewise
    ("py:class", "agentic.release._mover.Publishes"),  # every agent is one
    ("py:class", "agentic.release._watchable.Watchable"),  # likewise
    ("py:class", "agentic.policies._effects.Effects"),  # which sums Personal keeps: read the file
    ("py:class", "agentic._offpolicy._tally._State"),  # of a tally, whose state is nobody else's
    ("py:class", "agentic.evaluation._evaluate.Learning"),  # a type variable: any policy that learns
    ("py:class", "agentic.release._training.Taught"),  # rows such as Joined
    ("py:class", "agentic.features._schema._Affine"),  # in the signature of Schema, which nobody calls
]

SHARED = {  # what rooms share stands below them
    "agentic._offpolicy.": "agentic.evaluation.",
    "agentic._oversight.": "agentic.release._oversight.",
    "agentic._releases.": "agentic.release.",
    "agentic._sequential.": "agentic.experiments.",
}
PRIVATE_FILE = re.compile(r"^(agentic(?:\.[a-z]\w*)?)\._\w+\.(\w.*)$")


def resolve_by_public_path(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.reference | None:
    """Link `agentic.room._file.Name`, the path of a class, to `agentic.room.Name`, which is documented."""
    path = node.get("reftarget", "")
    for below, room in SHARED.items():
        path = path.replace(below, room)
    found = PRIVATE_FILE.match(path)
    if node.get("refdomain") != "py" or found is None:
        return None
    target = ".".join(found.groups())
    role = node["reftype"]
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, role, target, node, contnode)


def keep_colons(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Stop napoleon from taking "Doing nothing: always a candidate" for "type: description"."""
    if what in {"attribute", "data", "property"} and lines and lines[0]:
        lines[0] = f": {lines[0]}"
    for number, line in enumerate(lines[:-1]):
        if line == "Returns:":
            told = lines[number + 1].lstrip()
            lines[number + 1] = f"    : {told}"


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # before napoleon, which is at 500
    app.connect("missing-reference", resolve_by_public_path)
