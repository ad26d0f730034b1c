#!/usr/bin/env bash
# Three tasks of the paper on real files: bin/demo/real.sh DATA OUT. DATA holds geocat (CCSM, TREFHT.B06.*),
# era-interim (eraint_uvz.nc) and era5-hourly-regional. Small networks, trained for minutes.
set -euo pipefail
data=$(realpath "$1")
bin=$(realpath "$(dirname "$0")/../climax.js")
mkdir -p "$2"
cd "$2"
climax() { echo "\$ climax $*" && node "$bin" "$@"; }
small="--model.patch-size 4 --model.embed-dim 64 --model.depth 2 --model.heads 4"

# Projection: a stand-in for ClimateBench. One scenario, three members that differ in their start, cumulative CO2 as the only
# input: fossil and cement emissions since 1850 (Gilfillan et al. 2019, CDIAC; carbon times 3.664), Gt, linear within decades.
{
  echo year,CO2
  awk 'BEGIN { split("24.9 40.5 65.7 98.2 134.3 173.4 223.8 301.1 419.5 595.4 798.3 1031.8", c, " ")
    for (y = 1890; y < 2000; y++) { i = int((y - 1890) / 10) + 1; f = (y - 1890) % 10 / 10; printf "%d,%.1f\n", y, c[i] + f * (c[i + 1] - c[i]) } }'
} > co2.csv
climax regrid "$data"/geocat/TREFHT*.nc --res 5.625 -o ccsm
for member in 57 59 60; do
  climax prepare ccsm/TREFHT.B06.$member.*.nc co2.csv --train 1890..1969 --val 1970..1979 --test 1980..1999 -o s$member
done
climax pretrain --data.sources s57,s59 --data.leads.min 8760 --data.leads.max 8760 --data.leads.step 8760 $small \
  --training.batch-size 8 --training.max-steps 200 --training.epochs 100 --optimiser.lr 1e-3 --optimiser.warmup 20 -o pre
task="--task projection --data.set s57,s59 --data.inputs CO2"
run="--checkpoint pre/best.safetensors --training.batch-size 8 --training.max-steps 150 --optimiser.lr 1e-3 --optimiser.warmup 15"
climax finetune $task $run -o whole
climax finetune $task $run --freeze attention,mlp -o frozen
climax finetune $task --model pattern-scaling -o scaling
for name in whole frozen scaling; do
  climax forecast --checkpoint $name/best.safetensors --input s60 -o $name.nc
done
climax eval --bench climatebench --forecast whole.nc,frozen.nc,scaling.nc --name climax,climax-frozen,pattern-scaling \
  --truth s60 --baselines climatology --metrics rmse,bias,nrmse_total

# Downscaling: ERA-Interim has two states, the means of January and July. One is learnt, the other scored.
climax regrid "$data"/era-interim/eraint_uvz.nc --res 1.40625 -o interim.nc
climax prepare interim.nc --train 0001-01 --test 0001-07 -o interim
climax finetune --task downscaling --data.set interim --data.coarsen 4 --data.interpolate bicubic --data.outputs z_500,u_850,v_850 \
  --model.residual --model.patch-size 4 --model.embed-dim 32 --model.depth 1 --model.heads 4 \
  --training.batch-size 1 --training.max-steps 60 --training.epochs 60 --optimiser.lr 1e-3 --optimiser.warmup 5 -o fine
climax downscale --checkpoint fine/best.safetensors --input interim --coarsen 4 -o fine.nc
for method in bilinear bicubic; do
  climax downscale --model $method --input interim --coarsen 4 -o $method.nc
done
climax eval --bench downscaling --forecast fine.nc,bilinear.nc,bicubic.nc --name climax,bilinear,bicubic --truth interim \
  --metrics rmse --variables z_500,u_850,v_850

# Regional: one day of hourly ERA5 on 41 x 41 points, brought to 32 x 32, which patches tile.
printf 'gridtype = lonlat\nxsize = 32\nxfirst = 0.15625\nxinc = 0.3125\nysize = 32\nyfirst = 45.15625\nyinc = 0.3125\n' > box.txt
climax regrid "$data"/era5-hourly-regional/*.nc --grid box.txt -o hourly
climax prepare hourly/*.nc --train 2020-01-01T00..2020-01-01T15 --test 2020-01-01T16..2020-01-01T23 -o day
climax finetune --task regional --region 45..55,0..10 --data.set day --data.leads 1,2,3,4,5,6 --model.residual $small \
  --training.batch-size 8 --training.max-steps 300 --training.epochs 1000 --optimiser.lr 1e-3 --optimiser.warmup 20 -o region
climax forecast --checkpoint region/best.safetensors --input day --time 2020-01-01T16..2020-01-01T17 --lead 1h,2h,3h,4h,5h,6h -o region.nc
climax eval --forecast region.nc --truth day --metrics rmse
