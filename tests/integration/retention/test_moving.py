........................................................................ [  0%]
...............................................E
==================================== ERRORS ====================================
______________ ERROR at setup of test_every_figure_opens_its_rows ______________

tmp_path_factory = TempPathFactory(_given_basetemp=None, _trace=<pluggy._tracing.TagTracerSub object at 0x7ff0e3ca7810>, _basetemp=PosixPath('/dev/shm/planning/pytest-of-root/pytest-4'), _retention_count=3, _retention_policy='failed')

    @pytest.fixture(scope="module")
    def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
        folder = tmp_path_factory.mktemp("kept")
        made = seed.new_bureau(folder / "home", price_per_tb_month=Decimal(100_000_000))
        services, at = made.services, made.now
        dock, number = seed.new_dock(made, "采集站"), "官综执罚〔2026〕第031号"
        for case_number, category in ((number, Category.PENALTY), ("2", Category.INSPECTION)):
            open_case(
                services.database, services.identifiers, number=case_number, title="占道经营案", category=category,
                subject=NewSubject("阿明烧烤店", SubjectKind.ORGANISATION), by=made.people[Role.CASE_HANDLER], at=at(),
            )  # fmt: skip
        items = {
            "until": seed.deliver(made, dock, b"until", "until.mp4"),
            "waiting": seed.deliver(made, dock, b"waiting", "waiting.mp4", case_number=number),
            "permanent": seed.deliver(made, dock, b"permanent", "permanent.mp4"),
            "due": seed.deliver(made, dock, b"due", "due.mp4", recorded_at=at() - timedelta(days=900), device="BWC-9"),
            "no_rule": seed.deliver(made, dock, b"no rule", "no_rule.mp4", case_number="2"),
        }
        with services.database.begin() as tx:
            tx.add(
                RetentionMark(
                    id=new_uuid7(), ref_kind="object", ref_id=items["permanent"], mark=Mark.EVIDENCE.value, reason="x",
                    set_by=UUID(int=1), set_at=at(),
                )
            )  # fmt: skip
            hold_id = new_uuid7()
            tx.add(
                Hold(
                    id=hold_id, number="1", scope="object", authority="x", reason="x", review_on=at().date(),
                    unit_id=UUID(int=1), placed_by=UUID(int=1), placed_at=at(),
                )
            )  # fmt: skip
            tx.flush()
            tx.add(HeldObject(hold_id=hold_id, object_id=items["until"], since=at()))
        rules = (
            rule("case-file", 120, Basis.CASE_CLOSED, categories=("penalty",)),
            rule("footage", 6, Basis.RECORDED, filed=False),
            rule("marked", None, Basis.RECEIVED, marks=tuple(Mark)),
        )
        schedules = Schedules(Given(rules))
>       planner = RetentionPlanner(services.database, services.clock, schedules)
                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

tests/integration/web/test_retention.py:84: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 
tests/integration/web/test_retention.py:84: in <dictcomp>
    planner = RetentionPlanner(services.database, services.clock, schedules)
                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
/root/.pyenv/versions/3.11.7/lib/python3.11/contextlib.py:517: in enter_context
    result = _enter(cm)
             ^^^^^^^^^^
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

self = <httpx.Client object at 0x7ff0c9875d50>

    def __enter__(self: T) -> T:
        if self._state != ClientState.UNOPENED:
            msg = {
                ClientState.OPENED: "Cannot open a client instance more than once.",
                ClientState.CLOSED: (
                    "Cannot reopen a client instance, once it has been closed."
                ),
            }[self._state]
>           raise RuntimeError(msg)
E           RuntimeError: Cannot open a client instance more than once.

.dev/venv/lib/python3.11/site-packages/httpx/_client.py:1283: RuntimeError
---------------------------- Captured stdout setup -----------------------------
2026-11-30 19:51:06 [info     ] request                        duration_ms=22 method=POST request_id=01a22e02-d133-7b8e-b1e6-9042372ac734 route=/sign-in status=303
=========================== short test summary info ============================
ERROR tests/integration/web/test_retention.py::test_every_figure_opens_its_rows
!!!!!!!!!!!!!!!!!!!!!!!!!! stopping after 1 failures !!!!!!!!!!!!!!!!!!!!!!!!!!!
119 passed, 61 deselected, 1 error in 181.38s (0:03:01)
Traceback (most recent call last):
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/unraisableexception.py", line 29, in gc_collect_harder
    gc.collect()
ResourceWarning: unclosed <socket.socket fd=26, family=2, type=1, proto=6, laddr=('127.0.0.1', 42836), raddr=('127.0.0.1', 43853)>

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "<frozen runpy>", line 88, in _run_code
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pytest/__main__.py", line 9, in <module>
    raise SystemExit(_console_main())
                     ^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/config/__init__.py", line 286, in _console_main
    code = _main(prog=_get_prog_name(sys.argv))
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/config/__init__.py", line 262, in _main
    ret: ExitCode | int = config.hook.pytest_cmdline_main(config=config)
                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_caller.py", line 197, in __call__
    return self._hookexec(
           ^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_manager.py", line 183, in _hookexec
    return self._inner_hookexec(hook_name, methods, kwargs, firstresult)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_execution.py", line 195, in _multicall
    raise exception
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_execution.py", line 147, in _multicall
    res = hook_impl.function(*args)
          ^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/main.py", line 380, in pytest_cmdline_main
    return wrap_session(config, _main)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/main.py", line 375, in wrap_session
    config._ensure_unconfigure()
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/config/__init__.py", line 1377, in _ensure_unconfigure
    self.hook.pytest_unconfigure(config=self)
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_caller.py", line 197, in __call__
    return self._hookexec(
           ^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_manager.py", line 183, in _hookexec
    return self._inner_hookexec(hook_name, methods, kwargs, firstresult)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_execution.py", line 195, in _multicall
    raise exception
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/pluggy/_execution.py", line 147, in _multicall
    res = hook_impl.function(*args)
          ^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/unraisableexception.py", line 169, in pytest_unconfigure
    collect_unraisable(config)
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/unraisableexception.py", line 75, in collect_unraisable
    raise errors[0]
  File "/work/wt/planning/.dev/venv/lib/python3.11/site-packages/_pytest/unraisableexception.py", line 63, in collect_unraisable
    warnings.warn(pytest.PytestUnraisableExceptionWarning(msg))
pytest.PytestUnraisableExceptionWarning: Exception ignored in: <socket.socket fd=26, family=2, type=1, proto=6, laddr=('127.0.0.1', 42836), raddr=('127.0.0.1', 43853)>
Enable tracemalloc to get traceback where the object was allocated.
See https://docs.pytest.org/en/stable/how-to/capture-warnings.html#resource-warnings for more info.
