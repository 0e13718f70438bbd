from joulecast_calibration.meter.simulated.faults import inside


def test_a_span_holds_its_start_and_not_its_end():
    spans = ((1.0, 2.0), (5.0, 6.0))
    assert [inside(at, spans) for at in (0.9, 1.0, 1.9, 2.0, 5.5, 6.0)] == [False, True, True, False, True, False]
