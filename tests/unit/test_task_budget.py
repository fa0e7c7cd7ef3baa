"""What one workflow task may carry."""

from workflows.task_budget import TaskBudget


def test_a_task_carries_answers_up_to_its_budget_and_an_empty_one_carries_any() -> None:
    budget = TaskBudget(100)
    assert budget.can_spend(101)
    budget.spend(40)
    assert budget.can_spend(60)
    assert not budget.can_spend(61)
    budget.spend(60)
    assert not budget.can_spend(1)
    assert budget.can_spend(0)
    budget.begin_task()
    assert budget.can_spend(9999)


def test_what_a_task_carries_in_any_case_counts_even_beyond_its_budget() -> None:
    budget = TaskBudget(100)
    budget.spend(300)
    assert not budget.can_spend(1)
    budget.begin_task()
    budget.spend(100)
    assert not budget.can_spend(1)
