// Element-wise steps that PyTorch 1.13 does slowly in bfloat16 on a CPU. Compiled and used by kernels.py; without a compiler
// training still runs on plain PyTorch. bf16 values are uint16_t; every array is contiguous.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
typedef uint16_t bf16;
static inline float up(bf16 h) { uint32_t u = (uint32_t)h << 16; float f; memcpy(&f, &u, 4); return f; }
static inline bf16 down(float f) { uint32_t u; memcpy(&u, &f, 4); return (bf16)((u + 0x7fff + ((u >> 16) & 1)) >> 16); }
static inline float fast_exp(float x) { // relative error below 3e-6
  x = x < -80.f ? -80.f : x > 80.f ? 80.f : x;
  float t = x * 1.44269504f, n = __builtin_floorf(t + .5f), f = (t - n) * .69314718f;
  float p = 1.f + f * (1.f + f * (.5f + f * (.16666667f + f * (.041666667f + f * .0083333333f))));
  int32_t i = ((int32_t)n + 127) << 23; float s; memcpy(&s, &i, 4);
  return p * s;
}
static inline float sigmoid(float x) { return 1.f / (1.f + fast_exp(-x)); }
#define C 1.5957691216f  // 2 sqrt(2 / pi)
#define A .044715f
void gelu(const bf16 *restrict x, bf16 *restrict y, int64_t n) {
  #pragma omp parallel for simd
  for (int64_t i = 0; i < n; i++) { float v = up(x[i]); y[i] = down(v * sigmoid(C * (v + A * v * v * v))); }
}
void gelu_back(const bf16 *restrict x, const bf16 *restrict dy, bf16 *restrict dx, int64_t n) {
  #pragma omp parallel for simd
  for (int64_t i = 0; i < n; i++) {
    float v = up(x[i]), s = sigmoid(C * (v + A * v * v * v));
    dx[i] = down(up(dy[i]) * (s + v * s * (1.f - s) * C * (1.f + 3.f * A * v * v)));
  }
}
void swiglu(const bf16 *restrict gu, bf16 *restrict y, int64_t rows, int64_t h) { // gu (rows, 2 h) = gate | up -> (rows, h)
  #pragma omp parallel for
  for (int64_t r = 0; r < rows; r++) {
    const bf16 *g = gu + r * 2 * h, *u = g + h; bf16 *o = y + r * h;
    #pragma omp simd
    for (int64_t i = 0; i < h; i++) { float v = up(g[i]); o[i] = down(v * sigmoid(v) * up(u[i])); }
  }
}
void swiglu_back(const bf16 *restrict gu, const bf16 *restrict dy, bf16 *restrict d, int64_t rows, int64_t h) {
  #pragma omp parallel for
  for (int64_t r = 0; r < rows; r++) {
    const bf16 *g = gu + r * 2 * h, *u = g + h, *e = dy + r * h; bf16 *dg = d + r * 2 * h, *du = dg + h;
    #pragma omp simd
    for (int64_t i = 0; i < h; i++) {
      float v = up(g[i]), s = sigmoid(v), t = up(e[i]);
      du[i] = down(t * v * s); dg[i] = down(t * up(u[i]) * s * (1.f + v * (1.f - s)));
    }
  }
}
// s (batch, heads, n, k) -> probabilities; mask (batch, n, k) is added, or null
void softmax(const bf16 *restrict s, const bf16 *restrict mask, bf16 *restrict p, int64_t batch, int64_t heads, int64_t n, int64_t k) {
  #pragma omp parallel for
  for (int64_t b = 0; b < batch * heads; b++) {
    float *e = malloc(k * 4);
    for (int64_t r = 0; r < n; r++) {
      const bf16 *x = s + (b * n + r) * k, *m = mask ? mask + ((b / heads) * n + r) * k : 0; bf16 *o = p + (b * n + r) * k;
      float top = -1e30f, sum = 0;
      if (m) {
        #pragma omp simd reduction(max:top)
        for (int64_t i = 0; i < k; i++) { e[i] = up(x[i]) + up(m[i]); top = e[i] > top ? e[i] : top; }
      } else {
        #pragma omp simd reduction(max:top)
        for (int64_t i = 0; i < k; i++) { e[i] = up(x[i]); top = e[i] > top ? e[i] : top; }
      }
      #pragma omp simd reduction(+:sum)
      for (int64_t i = 0; i < k; i++) { e[i] = fast_exp(e[i] - top); sum += e[i]; }
      float f = 1.f / sum;
      #pragma omp simd
      for (int64_t i = 0; i < k; i++) o[i] = down(e[i] * f);
    }
    free(e);
  }
}
void softmax_back(const bf16 *restrict p, const bf16 *restrict dp, bf16 *restrict ds, int64_t rows, int64_t k) {
  #pragma omp parallel for
  for (int64_t r = 0; r < rows; r++) {
    const bf16 *a = p + r * k, *d = dp + r * k; bf16 *o = ds + r * k;
    float sum = 0;
    #pragma omp simd reduction(+:sum)
    for (int64_t i = 0; i < k; i++) sum += up(a[i]) * up(d[i]);
    #pragma omp simd
    for (int64_t i = 0; i < k; i++) o[i] = down(up(a[i]) * (up(d[i]) - sum));
  }
}
void rms(const float *restrict x, const float *restrict gain, bf16 *restrict y, float *restrict scale, int64_t rows, int64_t w) {
  #pragma omp parallel for
  for (int64_t r = 0; r < rows; r++) {
    const float *v = x + r * w; bf16 *o = y + r * w; float sum = 0;
    #pragma omp simd reduction(+:sum)
    for (int64_t i = 0; i < w; i++) sum += v[i] * v[i];
    float f = scale[r] = 1.f / sqrtf(sum / w + 1e-5f);
    #pragma omp simd
    for (int64_t i = 0; i < w; i++) o[i] = down(v[i] * f * gain[i]);
  }
}
void rms_back(const float *restrict x, const float *restrict gain, const float *restrict scale, const bf16 *restrict dy, float *restrict dx, float *restrict dgain, int64_t rows, int64_t w) {
  #pragma omp parallel
  {
    float *g = calloc(w, 4);
    #pragma omp for
    for (int64_t r = 0; r < rows; r++) {
      const float *v = x + r * w; const bf16 *d = dy + r * w; float *o = dx + r * w, f = scale[r], dot = 0;
      #pragma omp simd reduction(+:dot)
      for (int64_t i = 0; i < w; i++) { float t = up(d[i]) * v[i] * f; g[i] += t; dot += t * gain[i]; }
      dot = dot / w * f;
      #pragma omp simd
      for (int64_t i = 0; i < w; i++) o[i] = up(d[i]) * gain[i] * f - v[i] * f * dot;
    }
    #pragma omp critical
    for (int64_t i = 0; i < w; i++) dgain[i] += g[i];
    free(g);
  }
}
// qkv (batch, n, 3, heads, d) <-> three of (batch, heads, n, d); q and k turned by cos, sin (batch, n, d / 2) unless null; q scaled by d^-1/2
void split(const bf16 *restrict qkv, const float *restrict cos_, const float *restrict sin_, bf16 *restrict q, bf16 *restrict k, bf16 *restrict v, int64_t batch, int64_t n, int64_t heads, int64_t d, int back) {
  float f = 1.f / sqrtf((float)d);
  int64_t h2 = d / 2;
  #pragma omp parallel for
  for (int64_t b = 0; b < batch * n; b++) for (int64_t h = 0; h < heads; h++) for (int64_t part = 0; part < 3; part++) {
    bf16 *in = (bf16 *)qkv + ((b * 3 + part) * heads + h) * d;
    bf16 *out = (part == 0 ? q : part == 1 ? k : v) + (((b / n) * heads + h) * n + b % n) * d;
    float scale = part == 0 ? f : 1.f;
    if (part == 2) { if (back) memcpy(in, out, d * 2); else memcpy(out, in, d * 2); continue; }
    bf16 *from = back ? out : in, *to = back ? in : out;
    if (!cos_) { for (int64_t i = 0; i < d; i++) to[i] = down(up(from[i]) * scale); continue; }
    const float *c = cos_ + b * h2, *s = sin_ + b * h2;
    for (int64_t i = 0; i < h2; i++) {
      float x = up(from[i]), y = up(from[i + h2]), t = back ? -s[i] : s[i];
      to[i] = down((x * c[i] - y * t) * scale); to[i + h2] = down((x * t + y * c[i]) * scale);
    }
  }
}
