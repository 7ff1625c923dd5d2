"""Command line: `python -m torchext demo | bench | calibrate | info | doctor | run | verify`."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m torchext", description="SIMD operators for PyTorch on CPUs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    # Imported here and not at the top: `import torchext` never pays for them.
    from torchext import _bench, _calibrate, _demo, _doctor, _run, _verify

    demo = commands.add_parser("demo", help="train a small network on real digits with PyTorch and with torchext")
    _demo.add_arguments(demo)
    demo.set_defaults(run=_demo.main)

    bench = commands.add_parser("bench", help="compare every operator with torch, torch.compile and the machine")
    _bench.add_arguments(bench)
    bench.set_defaults(run=_bench.main)

    calibrate = commands.add_parser("calibrate", help="measure which library computes products faster here (minutes)")
    _calibrate.add_arguments(calibrate)
    calibrate.set_defaults(run=_calibrate.main)

    info = commands.add_parser("info", help="print versions, the CPU and the active instruction set")
    info.set_defaults(run=_info)

    doctor = commands.add_parser("doctor", help="say what costs speed or correctness here, and how to mend it")
    _doctor.add_arguments(doctor)
    doctor.set_defaults(run=_doctor.main)

    run = commands.add_parser("run", help="run a script or module that nobody edits, patched")
    _run.add_arguments(run)
    run.set_defaults(run=_run.main)

    verify = commands.add_parser("verify", help="compare a model's results, patched and unpatched")
    _verify.add_arguments(verify)
    verify.set_defaults(run=_verify.main)

    options = parser.parse_args(arguments)
    return int(options.run(options))


def _info(options: argparse.Namespace) -> int:
    import torchext

    print(torchext.show_config())
    return 0


if __name__ == "__main__":
    sys.exit(main())
