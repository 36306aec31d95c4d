"""Notebook components: the notebook runs in a kernel of the step's environment."""

import pytest

pytestmark = [pytest.mark.network, pytest.mark.slow]


def test_a_notebook_component_takes_parameters_and_writes_artifacts(cli) -> None:
    outcome = cli.run("notebook", parameters={"text": "it's", "count": 3})
    assert outcome.exit == 0, outcome
    assert outcome.outputs == {"Output": "it's it's it's"}
