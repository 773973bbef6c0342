"""The same work in PyTorch on the same card, for `tesserae bench gpu`: products, attention, and the whole MAE step.

    python3 torch_step.py '{"what": "step" | "kernels" | "compile", "device": "cuda" | "cpu", "turn": FILE, ...}'

Rows go to stdout as marked JSON lines. Warm-up is excluded, CUDA events are used, medians are told. Needs torch, and torch_model.py beside it.
What needs no GPU, importing torch and compiling, is done at once; nothing runs on the card before the file `turn` is there.
"""

import contextlib
import json
import math
import os
import statistics
import sys
import time

try:
    import torch
except ImportError as error:
    print("@@ " + json.dumps({"missing": f"no PyTorch: {error}"}), flush=True)
    raise SystemExit(1) from None
import torch.nn.functional as F

from torch_model import Mae, optimizer_of, sdpa

BEGAN = time.monotonic()
REQUEST = json.loads(sys.argv[1])
CUDA = REQUEST["device"] == "cuda"
DEVICE = torch.device(REQUEST["device"])
BEYOND_CACHE = 192 * 2**20
# Of a step that is measured: milliseconds in all, and fewest and most steps.
STEP_MS, FEWEST, MOST = 700, 3, 10


def send(message):
    print("@@ " + json.dumps(message), flush=True)


class Turn:
    """Until the file of the request is there, others measure. The budget begins with it, and may stand in it."""

    def __init__(self, path):
        self.path, self.began, self.budget_s = path, None, REQUEST.get("budget_s", 60)

    def wait(self):
        if self.began is not None:
            return
        if self.path:
            send({"note": f"waits for its turn after {time.monotonic() - BEGAN:.1f} s", "waits": True})
            while not os.path.exists(self.path):
                time.sleep(0.02)
            with open(self.path) as file:
                self.budget_s = json.loads(file.read() or "{}").get("budget_s", self.budget_s)
        self.began = time.monotonic()

    def left(self):
        return self.budget_s - (time.monotonic() - (self.began or BEGAN))


TURN = Turn(REQUEST.get("turn"))


def synchronize():
    if CUDA:
        torch.cuda.synchronize()


def elapsed(run, times):
    """Milliseconds of one of `times` runs, by the device's clock where it has one."""
    if not CUDA:
        began = time.perf_counter()
        for i in range(times):
            run(i)
        return 1000 * (time.perf_counter() - began) / times
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for i in range(times):
        run(i)
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / times


def median_ms(run, samples=3, sample_ms=8.0):
    """Median over samples that each repeat `run(i)` for about `sample_ms`."""
    for i in range(3):
        run(i)
    synchronize()
    once = min(elapsed(run, 1), elapsed(run, 1))
    times = max(1, min(400, math.ceil(sample_ms / max(once, 0.005))))
    return statistics.median(elapsed(run, times) for _ in range(samples))


class Precision:
    """How PyTorch multiplies: plain fp32, with TF32 tensor cores, or under bf16 autocast."""

    def __init__(self, name):
        self.name = name
        self.dtype = torch.bfloat16 if name == "bf16" else torch.float32

    def __enter__(self):
        if CUDA:
            torch.backends.cuda.matmul.allow_tf32 = self.name == "tf32"
            torch.backends.cudnn.allow_tf32 = self.name == "tf32"
        self.cast = torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.name == "bf16")
        self.cast.__enter__()
        return self

    def __exit__(self, *problem):
        return self.cast.__exit__(*problem)


PRECISIONS = ["fp32", "tf32", "bf16"] if CUDA else ["fp32"]


# --- products and attention ---------------------------------------------------------------------------------------------


def several(make, nbytes):
    """Enough sets of inputs that they do not fit the card's cache together."""
    count = min(8, max(1, math.ceil(BEYOND_CACHE / nbytes))) if CUDA else 1
    return [make() for _ in range(count)]


def gemm(shape, dtype):
    m, n, k, direction = (shape[name] for name in ("m", "n", "k", "direction"))
    size = {"forward": ((m, k), (n, k)), "dX": ((m, k), (k, n)), "dW": ((k, m), (k, n))}[direction]
    nbytes = (m * k + k * n + m * n) * (2 if dtype == torch.bfloat16 else 4)
    sets = several(lambda: [torch.randn(s, device=DEVICE, dtype=dtype) for s in size], nbytes)
    bias = torch.randn(n, device=DEVICE, dtype=dtype)

    def run(i):
        a, b = sets[i % len(sets)]
        if direction == "forward":
            return F.linear(a, b, bias)
        return a @ b if direction == "dX" else a.t() @ b

    return run, 2 * m * n * k


def attention(shape, dtype):
    batch, tokens, heads, dim = (shape[name] for name in ("batch", "tokens", "heads", "dim"))
    backward = shape["direction"] == "backward"
    size = (batch, tokens, 3, heads, dim)
    nbytes = 4 * batch * tokens * heads * dim * (2 if dtype == torch.bfloat16 else 4)

    def make():
        qkv = torch.randn(size, device=DEVICE, dtype=dtype, requires_grad=backward)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        o = sdpa(q, k, v) if backward else None
        return qkv, (q, k, v), o, torch.randn_like(o) if backward else None

    sets = several(make, nbytes)

    def run(i):
        qkv, parts, o, do = sets[i % len(sets)]
        if backward:
            return torch.autograd.grad(o, qkv, do, retain_graph=True)
        with torch.no_grad():
            return sdpa(*parts)

    return run, (10 if backward else 4) * batch * heads * tokens * tokens * dim


def measure_kernels():
    TURN.wait()
    makers = {"gemm": gemm, "attention": attention}
    for item in REQUEST["kernels"]:
        for name in PRECISIONS:
            row = {"what": item["what"], "shape": item["shape"], "mode": "torch " + name}
            if TURN.left() <= 0:
                send({"row": {**row, "error": "not measured: out of time"}})
                continue
            try:
                # Operands are of the type already: what autocast casts is part of the step, not of the product.
                with Precision(name if name != "bf16" else "fp32"):
                    run, flops = makers[item["kind"]](item, Precision(name).dtype)
                    ms = median_ms(run)
                send({"row": {**row, "ms": ms, "gflop_s": flops / ms / 1e6}})
            except Exception as error:  # one shape that fails must not end the others
                send({"row": {**row, "error": str(error).split("\n")[0][:300]}})
            if CUDA:
                torch.cuda.empty_cache()
        send({"note": f"{item['what']} {item['shape']}"})


# --- the step -----------------------------------------------------------------------------------------------------------


def compiled_early(model, options):
    """torch.compile's default, but forward and backward are compiled before either runs, and the first run waits for its turn."""
    from torch._functorch import config
    from torch._inductor.compile_fx import compile_fx

    # Before 2.9 the backward pass cannot be compiled before it is called.
    early = {"force_non_lazy_backward_lowering": True} if hasattr(config, "force_non_lazy_backward_lowering") else {}

    def backend(graph, inputs):
        with config.patch(early):
            made = compile_fx(graph, inputs, config_patches=options)

        def run(*args):
            TURN.wait()
            return made(*args)

        return run

    return torch.compile(model, backend=backend)


class Training:
    """A model in training on one batch; `forward` is the model or what a compiler made of it."""

    def __init__(self, item):
        torch.manual_seed(0)
        config, self.batch = item["config"], item["batch"]
        # Drawing the weights of ViT-H on the host takes seconds.
        with DEVICE if hasattr(DEVICE, "__enter__") else contextlib.nullcontext():
            self.model = Mae(config, item["mask_ratio"]).to(DEVICE)
            self.images = torch.rand(self.batch, config["in_chans"], *config["img_size"], device=DEVICE) * 2 - 1
        self.optimizer = optimizer_of(self.model, fused=CUDA)
        self.forward, self.losses = self.model, []

    def step(self, precision):
        with Precision(precision):
            loss = self.forward(self.images)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(loss.detach().clone())


def measure_step(training, precision):
    def step(_):
        training.step(precision)

    training.losses.clear()
    began = time.monotonic()
    step(0)
    TURN.wait()
    if CUDA:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step(1)
    step(2)
    synchronize()
    warm = time.monotonic() - began
    once = max(elapsed(step, 1), 0.1)
    hosted = []
    for i in range(max(1, min(3, int(300 / once)))):
        before = time.perf_counter()
        step(i)
        hosted.append(1000 * (time.perf_counter() - before))
        synchronize()
    count = FEWEST if REQUEST["quick"] else max(FEWEST, min(MOST, int(STEP_MS / once)))
    # Groups, as the engine's own steps are timed: the host may run ahead of the device.
    group = max(1, math.ceil(25 / once))
    ms = statistics.median(elapsed(step, group) for _ in range(max(FEWEST, count // group)))
    if not all(math.isfinite(float(loss)) for loss in training.losses):
        raise RuntimeError("the loss is not finite")
    return {
        "ms": ms,
        "images_per_s": 1000 * training.batch / ms,
        "host_ms": statistics.median(hosted) if CUDA else None,
        "peak_bytes": torch.cuda.max_memory_allocated() if CUDA else None,
        "warmup_s": warm,
        "loss": float(training.losses[-1]),
    }


def row_of(item, mode, measure):
    """Sends what `measure` finds; out of memory, or a compiler that is missing, ends only this row."""
    row = {"model": item["model"], "batch": item["batch"], "mode": mode}
    if TURN.left() <= 0:
        send({"row": {**row, "error": "not measured: out of time"}})
        return
    send({"note": f"{mode} {item['model']} batch {item['batch']}"})
    try:
        send({"row": {**row, **measure()}})
    except Exception as error:
        text = str(error).splitlines()[0][:300] if str(error) else ""
        send({"row": {**row, "error": f"{type(error).__name__}: {text}"}})


def measure_steps():
    TURN.wait()
    for item in REQUEST["steps"]:
        if CUDA:
            torch.cuda.empty_cache()
        made = []

        def training():
            made[:] = made or [Training(item)]
            return made[0]

        for precision in [name for name in item.get("precisions", PRECISIONS) if name in PRECISIONS]:
            row_of(item, f"torch {precision}", lambda: measure_step(training(), precision))


def measure_compiled():
    for item in REQUEST["steps"]:
        graphs = item.get("graphs", False)
        precision = "bf16" if CUDA else "fp32"

        def measure():
            training = Training(item)
            try:
                training.forward = compiled_early(training.model, {"triton.cudagraphs": True} if graphs else {})
                return measure_step(training, precision)
            except Exception as error:
                # What it is built from is not all public: where it has changed, the compiler's own way, in turn.
                send({"note": f"compiling early failed: {type(error).__name__}: {str(error)[:300]}"})
            torch._dynamo.reset()
            TURN.wait()
            training.forward = torch.compile(training.model, mode="reduce-overhead" if graphs else "default")
            return measure_step(training, precision)

        row_of(item, f"torch {precision} compiled{', graphs' if graphs else ''}", measure)


def main():
    if CUDA and not torch.cuda.is_available():
        send({"missing": f"torch {torch.__version__}, which sees no CUDA device"})
        raise SystemExit(1)
    send({"torch": f"{torch.__version__}, CUDA {torch.version.cuda}" if CUDA else torch.__version__})
    if CUDA:
        torch.zeros(1, device=DEVICE)
    {"kernels": measure_kernels, "step": measure_steps, "compile": measure_compiled}[REQUEST["what"]]()


main()
