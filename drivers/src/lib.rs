//! Drivers for electronic shelf label base stations.
