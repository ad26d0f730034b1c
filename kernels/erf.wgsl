// The Gaussian distribution function and density, for the exact GELU.
//
// Shapes      scalars
// Dispatch    included
// Called by   src/engine/shader.ts
// Checked by  test/ops/gelu.test.ts

// erfc by the Chebyshev fit of Press et al. (Numerical Recipes, section 6.2): relative error below 1.2e-7 everywhere,
// so that the negative tail of GELU keeps its digits.
fn erfc(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.5 * abs(x));
  let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807
    + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let tail = t * exp(-x * x + p);
  return select(2.0 - tail, tail, x >= 0.0);
}

// Phi(x), the share of a standard normal below x.
fn normal_below(x: f32) -> f32 { return 0.5 * erfc(-0.70710678118654752 * x); }

fn gelu(x: f32) -> f32 { return x * normal_below(x); }

// d gelu / dx = Phi(x) + x phi(x)
fn gelu_slope(x: f32) -> f32 { return normal_below(x) + x * 0.39894228040143268 * exp(-0.5 * x * x); }

fn gelu4(x: vec4f) -> vec4f { return vec4f(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w)); }

fn gelu_slope4(x: vec4f) -> vec4f {
  return vec4f(gelu_slope(x.x), gelu_slope(x.y), gelu_slope(x.z), gelu_slope(x.w));
}
