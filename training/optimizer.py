"""Muon for the matrices of the blocks (momentum, made orthogonal by Newton-Schulz), AdamW for everything else."""
import torch


def orthogonal(g):
    """g (matrices, rows, cols) -> nearly orthogonal matrices of the same row space."""
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall: x = x.transpose(-1, -2)
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).bfloat16()
    for _ in range(5):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.775 * a + 2.0315 * (a @ a)) @ x
    return (x.transpose(-1, -2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum=.95, decay=.05):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for p in group['params']:
                if p.grad is None: continue
                m = self.state[p].setdefault('momentum', torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group['momentum'])
                g = p.grad.lerp(m, group['momentum'])
                shapes.setdefault(p.shape[-2:], []).append((p, g.reshape(-1, *p.shape[-2:])))
            for shape, items in shapes.items():
                o = orthogonal(torch.cat([g for _, g in items])) * (.2 * max(shape) ** .5)  # update of root mean square about 0.2, as Adam's
                for (p, g), u in zip(items, o.split([len(g) for _, g in items])):
                    p.mul_(1 - group['lr'] * group['decay']).add_(u.reshape(p.shape), alpha=-group['lr'])


def optimizers(model, lr):
    matrices = [p for n, p in model.named_parameters() if p.ndim >= 2 and 'blocks' in n or n in ('mm0', 'mm2')]
    chosen = {id(p) for p in matrices}
    return [Muon(matrices, lr), torch.optim.AdamW([p for p in model.parameters() if id(p) not in chosen], lr, betas=(.9, .95), weight_decay=0.)]
