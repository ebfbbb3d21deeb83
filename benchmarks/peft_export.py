"""Whether PEFT trains a factored export: LoRA on its second linear layer, a few steps on one made-up batch.

    pip install --target FOLDER --no-deps peft accelerate
    PYTHONPATH=FOLDER python -m benchmarks.peft_export

A two-layer Llama of random weights is exported as two factors, loaded (`laser.export.factored.load_factored`) and
wrapped by PEFT. It prints the versions, which weights are trained, and the loss before and after; it fails if the loss
does not fall, or if any weight but the adapter's changes. PEFT is not part of the environment.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

STEPS, TOKENS, RANK = 5, 24, 4


def main() -> None:
    """Export, wrap, train and print."""
    import torch
    from peft import LoraConfig, get_peft_model

    from laser.export.checkpoint import export
    from laser.export.factored import load_factored
    from laser.reduction.factors import FactorStore
    from laser.reduction.interventions import Intervention
    from tests import tiny

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        origin = tiny.checkpoint(folder / "model")
        edit = Intervention("u_out", 1, 0.2)
        export(origin, folder / "export", edit, "factored", "fp32", FactorStore(folder / "factors"))
        torch.manual_seed(0)
        model = get_peft_model(load_factored(folder / "export"), LoraConfig(r=RANK, target_modules=["left"]))
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    frozen = {name: weight.clone() for name, weight in model.named_parameters() if not weight.requires_grad}
    ids = torch.randint(10, 100, (2, TOKENS), generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    losses = []
    for _ in range(STEPS + 1):
        loss = model(input_ids=ids, labels=ids).loss
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for package in ("peft", "transformers", "torch"):
        print(f"{package} {version(package)}")
    print(f"trained: {', '.join(trained)}")
    print(f"loss: {losses[0]:.4f}, after 1 step {losses[1]:.4f}, after {STEPS} steps {losses[-1]:.4f}")
    changed = [name for name, weight in model.named_parameters() if name in frozen and not weight.equal(frozen[name])]
    if not losses[0] > losses[1] > losses[-1] or changed:
        sys.exit(f"ERROR: the loss does not fall, or frozen weights changed: {changed}")


if __name__ == "__main__":
    main()
