/** What is used of d3-geo-projection, which has no types of its own. */
declare module "d3-geo-projection" {
  export function geoRobinson(): import("d3-geo").GeoProjection;
}
