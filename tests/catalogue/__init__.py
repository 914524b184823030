"""The catalogue of faults: what can go wrong, which tests prove the outcome, and what is open.

A test says which faults it proves, and which outcome words it asserts:

    @pytest.mark.fault("X01", "ONE EQ")
    async def test_an_answer_lost_after_acceptance_leads_to_one_order(...):
        ...
        fired(await exchange.faults_fired())

`fired` takes what counts the fault: a number, a list, a fault that counts itself, an error that was
raised; words only beside it (`words=`). A marked test that never calls it, or calls it with
nothing, fails. `make faults` prints the table.
"""

from tests.catalogue.evidence import fired

__all__ = ["fired"]
