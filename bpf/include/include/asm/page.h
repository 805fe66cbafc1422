#define PAGE_SIZE 4096 /* ring sizes are set when the maps are made, not here */
