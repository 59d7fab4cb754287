"""Which examples are run as tests: every Python block of README, docs and docstrings.

Each document is one namespace: its blocks run from top to bottom and build on each other. What a reader need
not see is set up in an invisible block, and what cannot run is skipped with a reason:

    <!-- invisible-code-block: python
    import agentic
    -->

    <!-- skip: next "needs a Redis server" -->

In MyST documents ``% skip: next`` does the same, in docstrings ``.. skip: next``.
"""

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from hypothesis import settings
from sybil import Sybil
from sybil.parsers import myst, rest
from sybil.sybil import SybilCollection

OPTIONS = ELLIPSIS | NORMALIZE_WHITESPACE


def markdown(path: str, pattern: str) -> Sybil:
    """Read Markdown: fenced blocks and MyST directives, as statements or as ``>>>`` sessions."""
    return Sybil(
        parsers=[
            myst.DocTestDirectiveParser(optionflags=OPTIONS),
            myst.PythonCodeBlockParser(doctest_optionflags=OPTIONS),
            myst.SkipParser(),
        ],
        path=path,
        pattern=pattern,
    )


docstrings = Sybil(
    parsers=[
        rest.DocTestParser(optionflags=OPTIONS),
        rest.PythonCodeBlockParser(),
        rest.SkipParser(),
    ],
    path="src",
    pattern="*.py",
)

pytest_collect_file = SybilCollection(
    [markdown(".", "README.md"), markdown("docs", "*.md"), docstrings],
).pytest()

# The same examples on every machine, and no stopwatch: a busy machine is not a bug.
# To hunt for new ones: python -m pytest --hypothesis-profile=hunt
settings.register_profile("same-everywhere", derandomize=True, deadline=None, database=None)
settings.register_profile("hunt", derandomize=False, deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("same-everywhere")
